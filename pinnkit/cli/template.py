"""The problem file that `pinnkit new NAME` writes: commented, and it trains as it is."""

TEMPLATE = '''"""{title}: say here which equation this is, e.g. heat in a rod with one insulated end, u_t = alpha u_xx.

Look at it with `pinnkit check {path}`, train it with `pinnkit train {path}`.
"""

import jax.numpy as jnp

import pinnkit as pk


class {cls}(pk.Problem):
    """u_t = alpha u_xx."""

    # Physical parameters: a type, a default and, behind #, the unit. Each is an option: --problem.alpha 0.3
    alpha: float = 0.1  # diffusivity [length^2 / time]

    # Named axes; `t` is time. Others: x=pk.Periodic(0.0, 1.0), k=pk.ParameterAxis(0.1, 1.0).
    # Ends that depend on a parameter L need a method: def domain(self): return pk.Box(t=(0.0, 1.0), x=(0.0, self.L))
    domain = pk.Box(t=(0.0, 1.0), x=(0.0, 1.0))

    # Several unknown functions? fields = ("u", "v", "p")

    # An equation is a method: what it returns must be zero. Ask for what you need by name: the field u, its derivatives
    # u_t, u_xx, u_tx, u_laplacian, coordinates t, x. Each is an array that holds one value per collocation point.
    @pk.interior
    def heat(self, u_t, u_xx):
        return u_t - self.alpha * u_xx

    @pk.initial(hard=True)  # hard=True: enforced exactly, by construction (values only)
    def warm_start(self, u, x):
        return u - jnp.cos(jnp.pi * x / 2)

    @pk.boundary("x-")  # one end; "x" is both. u_n is the derivative along the outward normal
    def insulated(self, u_n):
        return u_n

    @pk.boundary("x+", hard=True)
    def cold(self, u):
        return u

    # Known solution? Then it is checked against the equations, and the error is measured. None? Remove it.
    def exact(self, t, x):
        return jnp.cos(jnp.pi * x / 2) * jnp.exp(-self.alpha * (jnp.pi / 2) ** 2 * t)

    # Optional: the defaults are good.
    # model = pk.MLP(width=30, depth=3)
    # recipe = pk.Recipe(stages=(pk.SSBroyden(steps=2000),), accuracy=1e-4)
'''


def problem_file(name: str) -> str:
    """Return the text of a new problem file called `name`."""
    cls = "".join(part.capitalize() for part in name.split("_"))
    return TEMPLATE.format(title=name.replace("_", " ").capitalize(), cls=cls, path=f"problems/{name}.py")
