"""Robertson's reaction: three concentrations of 1, 1e-5 and 0.3, rates from 0.04 to 3e7.

Truth: SciPy's Radau method.
"""

import numpy as np
from scipy.integrate import solve_ivp

import pinnkit as pk

END = 40.0


class Robertson(pk.Problem):
    fields = ("a", "b", "c")
    domain = pk.Box(t=(0.0, END))

    @pk.interior
    def reactions(self, a, b, c, a_t, b_t, c_t):
        slow, back, fast = 0.04 * a, 1e4 * b * c, 3e7 * b**2
        return {"a": a_t + slow - back, "b": b_t - slow + back + fast, "c": c_t - fast}

    @pk.initial
    def start(self, a, b, c):
        return {"a": a - 1.0, "b": b, "c": c}


def errors(solution, problem):
    def slope(t, y):
        slow, back, fast = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
        return [back - slow, slow - back - fast, fast]

    t = np.linspace(0.0, END, 401)
    truth = solve_ivp(slope, (0, END), [1.0, 0.0, 0.0], method="Radau", t_eval=t, rtol=1e-10, atol=1e-14).y
    ours = solution(t=t)
    return {
        name: float(np.linalg.norm(ours[name] - y) / np.linalg.norm(y)) for name, y in zip("abc", truth, strict=True)
    }
