"""The words of the language with what they do, for hovers and completions."""

from __future__ import annotations

KIND_WORDS = {
    "net": "`net Name[sizes](inputs) -> outputs { … }`: an explicit layer, a formula",
    "ode": "`ode`: dx/dt = f(x, t), from a start",
    "dae": "`dae`: an `ode` with algebraic equations for `var`s",
    "sde": "`sde`: dx = f dt + g dW, driven by noise",
    "cde": "`cde`: dx = F dX, driven by a path",
    "bvp": "`bvp`: an `ode` with conditions at both ends",
    "fixpoint": "`fixpoint`: z = f(z, x)",
    "root": "`root`: equations that the unknowns satisfy",
    "argmin": "`argmin`: the minimum of an objective under constraints",
}
WORDS = {
    **KIND_WORDS,
    "fn": "`fn name(args) = expr`: a one-line function, written in where it is called",
    "import": '`import "other.imp" [as m]`: the definitions of another file',
    "param": "`param a[n] = start`, `param W[n, m] ~ draw() [in set]`: trained, an `nn.Parameter` of that name",
    "const": "`const c = 1`: a buffer, not trained",
    "state": "`state x[n] = start`: evolves from its start by its equation `dx/dt = …`",
    "var": "`var z[n] = guess`: found by algebra or optimisation",
    "noise": "`noise W[m] [stratonovich]`: Brownian motion, Itô unless told",
    "history": "`history x = …`: the values of a delayed state before the start",
    "use": "`use f = Layer[sizes](options)`: a layer of its own",
    "let": "`let v = …`: names an expression",
    "from": "`from t = a to b`: the interval of time",
    "when": "`when condition { x := … }`: an event, fires when the condition becomes true",
    "stop": "`stop`: ends the run in an event",
    "minimize": "`minimize e`: the objective",
    "maximize": "`maximize e`: the objective",
    "subject": "`subject to { … }`: constraints, `=`, `<=`, `>=`, `z in set`, `for k in a:b { … }`",
    "solver": "`solver name(options)`: the method",
    "adjoint": "`adjoint name(options)`: how the derivative is found",
    "return": "`return e, … [at ts]`: the outputs, at times if they are named",
    "path": "`path X[c] by hermite`: an input that is a sampled signal",
    "in": "`in set`: belongs to a set; `for k in a:b`: a loop",
    "if": "`if c then a else b`: a choice; a jump on a right-hand side is located in time",
    "stratonovich": "`noise W stratonovich`: in the sense of Stratonovich",
}
SET_WORDS = {
    "positive": "`in positive`: above 0",
    "nonneg": "`in nonneg`: at least 0",
    "interval": "`in interval(a, b)`: between a and b",
    "simplex": "`in simplex(n)`: at least 0 with sum 1",
    "spd": "`in spd(n)`: symmetric, positive definite",
    "psd": "`in psd(n)`: symmetric, positive semidefinite",
    "soc": "`in soc(n)`: the second-order cone, x[0] at least the norm of the rest",
    "ordered": "`in ordered`: rising",
    "orthogonal": "`in orthogonal`: orthonormal columns",
}
DRAW_WORDS = {
    "normal": "`~ normal(mean, std)`: normally distributed, 0 and 1 unless told",
    "uniform": "`~ uniform(a, b)`: uniformly distributed",
    "glorot": "`~ glorot()`: uniform by the numbers of rows and columns (Glorot & Bengio 2010)",
    "kaiming": "`~ kaiming()`: uniform by the number of columns (He et al. 2015)",
    "identity": "`~ identity()`: the identity matrix",
    "zeros": "`~ zeros()`: zeros",
    "orthogonal": "`~ orthogonal()`: a random orthogonal matrix",
}
PATH_RULES = ("linear", "rectilinear", "hermite", "cubic")
