"""Absurd values for command lines, and the names and contents of files for them."""

from tests.files.test_numpy_files import HOSTILE

NUMBERS = ["-1", "0", "1", "2", "3", "7", "1e400", "-1e400", "nan", "inf", "-inf", "2147483648", "-2147483649"]
NUMBERS += ["9" * 30, "9" * 400, "0.5", "1e-320", "0x10", "1_0", "1e3", "²"]
WORDS = ["", " ", "x" * 5000, "é", "a\nb", "--", "-", "*", "%s", "{}", "\udcff", "H1", "relu", "ring", "joint"]
COLUMNS = ["a", "b", "y", "y", "nothing", "x0"]
SEEDS = ["0", "0-1", "3,1", "0-999", "1-0", "0-9999999999"]
ODD = ["a,b,y\n", "a,b,y\n1,u\n", "a,a\n1,2\n", "a,b,y\n1e400,u,p\n2,v,q\n", "a,b,y\nnan,u,p\n", "y\np\nq\n",
       "a;b;y\n" + "1,5;u;p\n" * 9, '"', "\ufeffa,b\n1,u\n", "a,b,y\n" + "1,u,p\n" * 9, "a,b,y\n1,w,p\n" * 9,
       "[" * 99 + ",b,y\n" + "1,u,p\n2,v,q\n" * 9, "a,b,y\n" + "1" * 200_000 + ",u,p\n"]  # fmt: skip
TOML = ["depth = '", "dept = 1", "depth = 10", "seeds = '0-1'", "step = inf", "a = " + "[" * 5000, "rate = 1e300", ""]
PATHS = [
    "new.out", "new.out", "-", "/dev/null", "/dev/full", "/dev/zero", "/no/where", "", ".", "folder", "old.json",
    "locked.json", "link", "dangling", "circle", "net.pyham", "net.npz", "run.pyham", "text.txt", "empty", "x.npy",
    "complex.npy", "dates.npy", "n" * 255, "n" * 256, "pipe", *(f"hostile{i}.npy" for i in range(len(HOSTILE))),
    "hostile.npz", "digits", "t.csv", "t.npz", "model.pyham", "run.toml", *(f"odd{i}.csv" for i in range(len(ODD))),
    *(f"odd{i}.toml" for i in range(len(TOML))),
]  # fmt: skip
