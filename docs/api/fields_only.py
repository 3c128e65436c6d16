"""For the reference pages: of a dataclass (a network, a stage, a weighting, a recipe) its options are shown, not its methods.

The methods are what the framework asks of such an object; whoever adds one reads them in the code.
"""

from typing import Any

from griffe import Alias, Class, Extension, Object


class FieldsOnly(Extension):
    """Removes from dataclasses everything but the fields."""

    def on_class_members(self, *, cls: Class, **kwargs: Any) -> None:
        """Called by griffe when a class has been read."""
        if not any("dataclass" in str(decorator.value) for decorator in cls.decorators):
            return
        for name in [n for n, m in cls.members.items() if not n.startswith("_") and not is_field(m)]:
            del cls.members[name]


def is_field(member: Object | Alias) -> bool:
    """Whether a member is a field of a dataclass: neither a method, nor a property, nor shared by all instances."""
    return member.is_attribute and "instance-attribute" in member.labels
