"""Faults of ``pyham.architectures``, ``schemes`` and ``interconnection``."""

from validation.faults_elsewhere.fault import Fault, slips

# fmt: off

ARCHITECTURES: tuple[Fault, ...] = (
    *slips(
        "architectures.MS1.assemble",
        ("sign", "K = [[0, A], [A^T, 0]]", '-params["A"]', 'params["A"]'),
        ("transpose", "K = [[0, A], [-A, 0]]", ".swapaxes(1, 2)", ""),
        ("A transposed", "K = [[0, A^T], [-A^T, 0]]", '= params["A"]', '= params["A"].swapaxes(1, 2)'),
    ),
    *slips(
        "architectures.MS1.collect",
        ("sign", "dA = dK_pq + dK_qp^T", "] - dK", "] + dK"),
        ("transpose", "dA = dK_pq - dK_qp", ".swapaxes(1, 2)", ""),
        ("block dropped", "dA = dK_pq", " - dK[:, self.q, self.p].swapaxes(1, 2)", ""),
    ),
    *slips(
        "architectures.MS2.assemble",
        ("symmetric", "K^T = K", "-upper", "upper"),
        ("triangular", "K zero below the diagonal", "-upper", "0 * upper"),
        ("exchanged", "-K", "K[:, i, j] = upper\n    K[:, j, i] = -upper",
         "K[:, i, j] = -upper\n    K[:, j, i] = upper"),
    ),
    *slips(
        "architectures.MS2.collect",
        ("not antisymmetrised", "dK above the diagonal alone", " - dK[:, j, i]", ""),
        ("symmetrised", "dK + dK^T", "- dK", "+ dK"),
        ("half", "(dK - dK^T) / 2", "dK[:, i, j] - dK[:, j, i]", "(dK[:, i, j] - dK[:, j, i]) / 2"),
    ),
    *slips(
        "architectures.MS3.assemble",
        ("exchanged", "K = [[0, K2], [K1, 0]]", '= params["K1"], params["K2"]', '= params["K2"], params["K1"]'),
    ),
    *slips(
        "architectures.MS3.collect",
        ("exchanged", "dK1 = dK_qp, dK2 = dK_pq", '"K1": dK[:, self.p, self.q], "K2": dK[:, self.q, self.p]',
         '"K1": dK[:, self.q, self.p], "K2": dK[:, self.p, self.q]'),
    ),
    *slips("architectures.MS3.J", ("sign", "J = -J1", "interconnection.J1", "-interconnection.J1")),
    *slips(
        "architectures.H1.J",
        ("exchanged", "J1 for J2 and J2 for J1", '"J1": interconnection.J1, "J2": interconnection.J2',
         '"J2": interconnection.J1, "J1": interconnection.J2'),
    ),
    *slips(
        "architectures.H2.J",
        ("X transposed", "J = [[0, -X], [X^T, 0]]", "from_block(X)", "from_block(X.T)"),
        ("X dropped", "J = [[0, -I], [I, 0]]", "if self.X is None else self.X", ""),
    ),
    *slips(
        "architectures.H2.assemble",
        ("exchanged", "K = blkdiag(Kq, Kp)", '= params["Kp"], params["Kq"]', '= params["Kq"], params["Kp"]'),
    ),
    *slips(
        "architectures.H2.collect",
        ("exchanged", "dKp = dK_qq, dKq = dK_pp", '"Kp": dK[:, self.p, self.p], "Kq": dK[:, self.q, self.q]',
         '"Kp": dK[:, self.q, self.q], "Kq": dK[:, self.p, self.p]'),
    ),
    *slips(
        "architectures.H2.p_part",
        ("rows", "p reads the rows of Kp", "rows=self.q", "rows=self.p"),
        ("src", "p reads p: no shear", "src=self.q", "src=self.p"),
    ),
    *slips("architectures.H2.q_part", ("rows", "q reads the rows of Kq", "rows=self.p", "rows=self.q")),
    *slips("architectures._Split.q_part", ("rows", "q reads the rows of p", "rows=self.q", "rows=self.p")),
    *slips(
        "architectures._Split.parts",
        ("order ignored", "p first, always", 'both if self.order == "p-first" else both[::-1]', "both"),
        ("order exchanged", "q first for p first", '== "p-first"', '== "q-first"'),
    ),
    *slips("architectures._Whole.steps", ("half a step", "forward Euler with h / 2", "EULER", "(Step(0, 0.5),)")),
    *slips(
        "architectures.inverse_transpose",
        ("transpose", "J = K^-1, constant weights", "inv(K[0]).T", "inv(K[0])"),
        ("transpose, layers", "J_j = K_j^-1", "inv(K).swapaxes(1, 2)", "inv(K)"),
        ("inverse", "J = K^T", "np.linalg.inv(K[0]).T", "K[0].T"),
    ),
)

SCHEMES: tuple[Fault, ...] = slips(
    "schemes.SPLITTINGS",
    ("semi-implicit order", "q first for p first", "Step(0, 1.0), Step(1, 1.0)),", "Step(1, 1.0), Step(0, 1.0)),"),
    ("semi-implicit coefficient", "p for h / 2", "(Step(0, 1.0), Step(1, 1.0)),", "(Step(0, 0.5), Step(1, 1.0)),"),
    ("verlet order", "q/2, p, q/2", "(Step(0, 0.5), Step(1, 1.0), Step(0, 0.5))",
     "(Step(1, 0.5), Step(0, 1.0), Step(1, 0.5))"),
    ("verlet whole steps", "p, q, p", "(Step(0, 0.5), Step(1, 1.0), Step(0, 0.5))",
     "(Step(0, 1.0), Step(1, 1.0), Step(0, 1.0))"),
    ("verlet halves", "0.6 p, q, 0.4 p", "(Step(0, 0.5), Step(1, 1.0), Step(0, 0.5))",
     "(Step(0, 0.6), Step(1, 1.0), Step(0, 0.4))"),
    ("verlet without its end", "p/2, q", "Step(1, 1.0), Step(0, 0.5))", "Step(1, 1.0))"),
    ("yoshida4 root", "w1 = 1 / (2 - 2^(1/2))", "2 ** (1 / 3)", "2 ** (1 / 2)"),
    ("yoshida4 w0", "w0 = 1 - w1", "1 - 2 * _w1", "1 - _w1"),
    ("yoshida4 w0 sign", "w0 = 2 w1 - 1", "_w0 = 1 - 2 * _w1", "_w0 = 2 * _w1 - 1"),
    ("yoshida4 halves", "w1 / 2 for (w1 + w0) / 2", "(_w1 + _w0) / 2", "_w1 / 2"),
    ("yoshida4 exchanged", "w0 for w1 and w1 for w0 in q",
     "Step(1, _w1),\n        Step(0, (_w1 + _w0) / 2),\n        Step(1, _w0),",
     "Step(1, _w0),\n        Step(0, (_w1 + _w0) / 2),\n        Step(1, _w1),"),
)

INTERCONNECTION: tuple[Fault, ...] = (
    *slips("interconnection.J1", ("sign", "J1 = [[0, -I], [I, 0]]", "-np.eye(m)", "np.eye(m)")),
    *slips(
        "interconnection.J2",
        ("lower sign", "J2 symmetric", "- np.tril", "+ np.tril"),
        ("upper sign", "J2 = -1 everywhere", "return np.triu", "return -np.triu"),
        ("exchanged", "-J2", "return np.triu(np.ones((n, n)), 1) - ", "return -np.triu(np.ones((n, n)), 1) + "),
    ),
    *slips(
        "interconnection.from_block",
        ("symmetric", "[[0, X^T], [X, 0]]", "-block.T", "block.T"),
        ("transpose above", "[[0, -X], [X, 0]]", "-block.T", "-block"),
        ("transpose below", "[[0, -X^T], [X^T, 0]]", "[block, zero]", "[block.T, zero]"),
        ("exchanged", "[[0, -X], [X^T, 0]]", "[zero, -block.T], [block, zero]", "[zero, -block], [block.T, zero]"),
        ("sign", "[[0, X^T], [-X, 0]]", "[zero, -block.T], [block, zero]", "[zero, block.T], [-block, zero]"),
    ),
)
