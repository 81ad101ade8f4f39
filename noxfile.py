"""The tests with every supported version: `nox -s tests-3.13`, `nox -s oldest`, `nox -s check`; `nox -l` lists all.

The workflow of GitHub (.github/workflows/tests.yml) runs exactly these sessions.
"""

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["check", "tests-3.11"]

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
OLDEST = ["torch==2.9.0", "numpy==2.0.0", "msgspec==0.19.0", "scipy==1.13.0", "tyro==1.0.14", "rich==13.8.0"]
"""The oldest versions that pyproject.toml allows; but for safetensors: the tests write types that came later."""
QUICK = ("-m", "not slow", "-n", "auto")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all but the slow tests with the newest versions of everything."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *QUICK, *session.posargs)


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """Run all but the slow tests with the oldest versions."""
    session.install("-e", ".[dev]", *OLDEST)
    session.run("python", "-m", "pytest", *QUICK, *session.posargs)


@nox.session(python="3.11")
def slow(session: nox.Session) -> None:
    """Run the slow tests: documentation, notebooks, studies, other packages."""
    session.install("-e", ".[dev,ecosystem]")
    session.run("python", "-m", "pytest", "-m", "slow", "-n", "auto", *session.posargs)


@nox.session(python="3.11")
def check(session: nox.Session) -> None:
    """Lint, format and types."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
