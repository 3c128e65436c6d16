"""A steel bracket under load, from an STL file: linear elasticity in SI units.

Half of it, since y = 0 is a plane of symmetry. It slides without friction on a wall (x = 0) and a floor (z = 0); a shear force
pulls its end (x = 6 cm) down. Displacements and stresses are fields: equations of first order train faster than of second.
Reference: displacements of quadratic finite elements (scikit-fem) at 2000 points, `benchmarks/make_bracket.py`.
Expected: relative L2 errors of 8e-4 and 6e-4 in u and w, and of 1e-2 in v, which is twenty times smaller, after 8 minutes on two
CPU cores; the reference's own is 1e-4 (4e-4 in v).
"""

import pinnkit as pk


class Bracket(pk.Problem):
    """div s = 0, s = lambda tr(e) + 2 mu e, e = sym grad (u, v, w)."""

    E: float = 210e9
    """Young's modulus [Pa]"""
    nu: float = 0.3
    """Poisson's ratio [1]"""
    shear: float = 5e6
    """mean shear stress at the end [Pa]"""

    fields = ("u", "v", "w", "sxx", "syy", "szz", "sxy", "sxz", "syz")
    vectors = {"displacement": ("u", "v", "w")}
    units = {"x": "m", "y": "m", "z": "m", "u": "m", "v": "m", "w": "m", "mises": "Pa"} | dict.fromkeys(
        fields[3:], "Pa"
    )
    domain = (
        pk.Mesh("bracket.stl", unit=1e-3)
        .named("wall", where=lambda x, y, z: x < 1e-6)
        .named("symmetry", where=lambda x, y, z: y < 1e-6)
        .named("floor", where=lambda x, y, z: z < 1e-6)
        .named("end", where=lambda x, y, z: x > 0.06 - 1e-6)
    )

    @pk.interior
    def balance(self, sxx_x, sxy_y, sxz_z, sxy_x, syy_y, syz_z, sxz_x, syz_y, szz_z):
        return {"x": sxx_x + sxy_y + sxz_z, "y": sxy_x + syy_y + syz_z, "z": sxz_x + syz_y + szz_z}

    @pk.interior
    def hooke(self, u_x, u_y, u_z, v_x, v_y, v_z, w_x, w_y, w_z, sxx, syy, szz, sxy, sxz, syz):
        mu = self.E / (2 * (1 + self.nu))
        mean = self.E * self.nu / ((1 + self.nu) * (1 - 2 * self.nu)) * (u_x + v_y + w_z)
        normal = {"x": sxx - mean - 2 * mu * u_x, "y": syy - mean - 2 * mu * v_y, "z": szz - mean - 2 * mu * w_z}
        return normal | {"xy": sxy - mu * (u_y + v_x), "xz": sxz - mu * (u_z + w_x), "yz": syz - mu * (v_z + w_y)}

    @pk.boundary("wall", hard=True)
    def on_the_wall(self, u):
        return u

    @pk.boundary("symmetry", hard=True)
    def in_the_plane(self, v):
        return v

    @pk.boundary("floor", hard=True)
    def on_the_floor(self, w):
        return w

    @pk.boundary("wall", "symmetry", "floor")
    def no_friction(self, sxy, sxz, syz, n_x, n_y, n_z):
        return {"x": sxy * n_y + sxz * n_z, "y": sxy * n_x + syz * n_z, "z": sxz * n_x + syz * n_y}

    @pk.boundary("end")
    def pulled(self, sxx, sxy, sxz, z):
        return {"x": sxx, "y": sxy, "z": sxz + 1.5 * self.shear * (1 - ((z - 0.05) / 0.01) ** 2)}

    @pk.boundary("face")
    def free(self, sxx, syy, szz, sxy, sxz, syz, n_x, n_y, n_z):
        x, y = sxx * n_x + sxy * n_y + sxz * n_z, sxy * n_x + syy * n_y + syz * n_z
        return {"x": x, "y": y, "z": sxz * n_x + syz * n_y + szz * n_z}

    @pk.quantity
    def mises(self, sxx, syy, szz, sxy, sxz, syz):
        shear = sxy**2 + sxz**2 + syz**2
        return (0.5 * ((sxx - syy) ** 2 + (syy - szz) ** 2 + (szz - sxx) ** 2) + 3 * shear) ** 0.5

    reference, reference_fields, reference_error = "bracket.npz", ("u", "v", "w"), 4e-4
    model = pk.MLP(width=32, depth=3)
    recipe = pk.Recipe(stages=(pk.SSBroyden(steps=20000),))
