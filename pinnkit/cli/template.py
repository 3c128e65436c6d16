"""The problem file that `pinnkit new NAME` writes: commented, and it trains as it is."""

TEMPLATE = '''"""{title}: say here which equation this is, e.g. u_t = nu u_xx - k u.

Train it with `pinnkit train {path}`, look at it first with `pinnkit check {path}`.
"""

import jax.numpy as jnp

import pinnkit as pk


class {cls}(pk.Problem):
    """u_t = nu u_xx - k u."""

    # Physical parameters: a type, a default and, behind #, the unit. Each is an option: --problem.nu 0.2
    nu: float = 0.1  # diffusivity [length^2 / time]
    k: float = 0.5  # rate of decay [1 / time]

    # Named axes; `t` is time. Others: x=pk.Periodic(0.0, 1.0), k=pk.Parameter(0.1, 1.0).
    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    # Several unknown functions? fields = ("u", "v", "p")

    # An equation is a method: what it returns must be zero. Ask for what you need by name: the field u, its derivatives
    # u_t, u_xx, u_tx, u_laplacian, coordinates t, x. Every one is an array with one value a point.
    @pk.interior
    def reaction(self, u, u_t, u_xx):
        return u_t - self.nu * u_xx + self.k * u

    @pk.initial(hard=True)  # hard=True: met exactly, by construction (values only)
    def start(self, u, x):
        return u - jnp.sin(jnp.pi * x)

    @pk.boundary("x", hard=True)  # both ends; "x-" or "x+" for one. u_n is the derivative along the outward normal
    def ends(self, u):
        return u

    # Known solution? Then it is checked against the equations, and the error is measured. None? Remove it.
    def exact(self, t, x):
        return jnp.exp(-(self.nu * jnp.pi**2 + self.k) * t) * jnp.sin(jnp.pi * x)

    # Optional: the defaults are good.
    # model = pk.MLP(width=30, depth=3)
    # recipe = pk.Recipe(stages=(pk.SSBroyden(steps=2000),), accuracy=1e-4)
'''


def problem_file(name: str) -> str:
    """The text of a new problem file called `name`."""
    cls = "".join(part.capitalize() for part in name.split("_"))
    return TEMPLATE.format(title=name.replace("_", " ").capitalize(), cls=cls, path=f"problems/{name}.py")
