"README.md is the text of nbs/index.ipynb. After editing the notebook: python tests/test_readme.py"
import json
from pathlib import Path

root = Path(__file__).parent.parent


def readme():
    cells = json.loads((root/"nbs/index.ipynb").read_text(encoding="utf8"))["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return text.replace("](images/", "](nbs/images/") + "\n"


def test_readme_is_the_index(): assert (root/"README.md").read_text(encoding="utf8") == readme()


if __name__ == "__main__": (root/"README.md").write_text(readme(), encoding="utf8")
