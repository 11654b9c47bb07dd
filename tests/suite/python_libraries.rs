//! The libraries people come for, doing a piece of their real work.

use potluck_tests::{Home, png_size, write_script};

#[track_caller]
fn prints(lines: &[&str], expected: &str) {
    let home = Home::with_python();
    let script = write_script(&home, "script.py", lines);
    assert_eq!(home.run([&script]).finish().expect(0).out(), expected);
}

#[test]
fn numpy_computes() {
    prints(
        &[
            "import numpy as np",
            "a = np.arange(12.0).reshape(3, 4)",
            "print((a @ a.T).trace(), round(np.linalg.det(np.eye(3) * 2), 6), np.fft.fft([1, 0, 0, 0]).real.tolist())",
            "print(np.random.default_rng(1).integers(0, 100, 3).tolist())",
        ],
        "506.0 8.0 [1.0, 1.0, 1.0, 1.0]\n[47, 51, 75]\n",
    );
}

#[test]
fn pandas_reads_groups_and_writes() {
    let home = Home::with_python();
    home.write("in.csv", "kind,n\na,1\nb,2\na,3\n");
    let lines = [
        "import pandas as pd",
        "sums = pd.read_csv('in.csv').groupby('kind').n.sum()",
        "print(sums.to_dict())",
        "sums.to_csv('out.csv')",
    ];
    let script = write_script(&home, "script.py", &lines);
    let finished = home.run(["-f", "in.csv", "-o", "out", &script]).finish();
    assert_eq!(finished.expect(0).out(), "{'a': 4, 'b': 2}\n");
    let back = std::fs::read_to_string(home.work().join("out/out.csv")).expect("the table came back");
    assert_eq!(back, "kind,n\na,4\nb,2\n");
}

#[test]
fn scipy_optimises_and_integrates() {
    prints(
        &[
            "from scipy import integrate, optimize, stats",
            "print(round(optimize.brentq(lambda x: x * x - 2, 0, 2), 6))",
            "print(round(integrate.quad(lambda x: x * x, 0, 3)[0], 6), round(stats.norm.cdf(1.96), 4))",
        ],
        "1.414214\n9.0 0.975\n",
    );
}

#[test]
fn scikit_learn_fits_and_predicts() {
    prints(
        &[
            "from sklearn.linear_model import LinearRegression",
            "from sklearn.tree import DecisionTreeClassifier",
            "from sklearn.datasets import load_iris",
            "model = LinearRegression().fit([[0], [1], [2]], [1, 3, 5])",
            "print(round(model.coef_[0], 6), round(model.intercept_, 6))",
            "x, y = load_iris(return_X_y=True)",
            "print(DecisionTreeClassifier(random_state=0).fit(x, y).score(x, y))",
        ],
        "2.0 1.0\n1.0\n",
    );
}

#[test]
fn matplotlib_draws_a_picture_that_comes_back() {
    let home = Home::with_python();
    let lines = [
        "import matplotlib.pyplot as plt",
        "figure = plt.figure(figsize=(4, 3), dpi=100)",
        "plt.plot([1, 2, 3], [2, 4, 8], label='growth')",
        "plt.title('a title'); plt.legend()",
        "plt.savefig('plot.png')",
    ];
    let script = write_script(&home, "script.py", &lines);
    let finished = home.run(["-o", "out", &script]).finish();
    finished.expect(0);
    let bytes = std::fs::read(home.work().join("out/plot.png")).expect("the picture came back");
    assert_eq!(png_size(&bytes), Ok((400, 300)));
}
