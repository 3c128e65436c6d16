"""Code in pages of text."""

import ast
import re


def blocks(language, text):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def class_of(text):
    """The statements of the first class in a file, without comments and docstrings."""
    (cls,) = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    return [ast.unparse(s) for s in cls.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
