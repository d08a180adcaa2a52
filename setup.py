"Packaging: everything is read from settings.ini, so a version or a requirement stands in one place."
from configparser import ConfigParser
from pathlib import Path
from shutil import copy
from setuptools import setup, find_packages
from setuptools.command.build_py import build_py

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here/"settings.ini", encoding="utf8")
cfg = parser["DEFAULT"]

class BuildWithNotebooks(build_py):
    "The notebooks travel in the package, so that `dit_edu lab` works without a clone."
    def run(self):
        super().run()
        if self.editable_mode: return # nbs/ itself is there
        for nb in [*(here/"nbs").rglob("*.ipynb"), *(here/"nbs").glob("images/*")]:
            if any(part.startswith((".", "_")) for part in nb.relative_to(here/"nbs").parts): continue
            to = Path(self.build_lib)/"dit_edu"/"notebooks"/nb.relative_to(here/"nbs")
            to.parent.mkdir(parents=True, exist_ok=True)
            copy(nb, to)


setup(
    name=cfg["lib_name"], version=cfg["version"], description=cfg["description"], keywords=cfg["keywords"],
    author=cfg["author"], author_email=cfg["author_email"], license="Apache-2.0", url=cfg["git_url"],
    long_description=(here/"README.md").read_text(encoding="utf8"), long_description_content_type="text/markdown",
    classifiers=["Programming Language :: Python :: 3", "Intended Audience :: Developers"],
    packages=find_packages(include=["dit_edu", "dit_edu.*"]), include_package_data=True,
    package_data={"dit_edu": ["configs/*.yaml", "pretrained/*", "pretrained/avatars-128/*", "widgets/static/*.js"]}, cmdclass={"build_py": BuildWithNotebooks},
    python_requires=f">={cfg['min_python']}", install_requires=cfg["requirements"].split(),
    extras_require={"dev": cfg["dev_requirements"].split()},
    entry_points={"console_scripts": [cfg["console_scripts"]], "nbdev": ["dit_edu=dit_edu._modidx:d"]},
)
