"Packaging: everything is read from settings.ini, so a version or a requirement stands in one place."
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_packages

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here/"settings.ini", encoding="utf8")
cfg = parser["DEFAULT"]

setup(
    name=cfg["lib_name"], version=cfg["version"], description=cfg["description"], keywords=cfg["keywords"],
    author=cfg["author"], author_email=cfg["author_email"], license="Apache-2.0", url=cfg["git_url"],
    long_description=(here/"README.md").read_text(encoding="utf8"), long_description_content_type="text/markdown",
    classifiers=["Programming Language :: Python :: 3", "Intended Audience :: Developers"],
    packages=find_packages(include=["dit_edu", "dit_edu.*"]), include_package_data=True,
    package_data={"dit_edu": ["configs/*.yaml", "notebooks/**/*.ipynb"]},
    python_requires=f">={cfg['min_python']}", install_requires=cfg["requirements"].split(),
    extras_require={"dev": cfg["dev_requirements"].split()},
    entry_points={"console_scripts": [cfg["console_scripts"]], "nbdev": ["dit_edu=dit_edu._modidx:d"]},
)
