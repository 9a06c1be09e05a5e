"""The docs are whole: their links lead somewhere, their programs are those of examples/, and every text that the
library can say to a person has a row in docs/errors.md."""

import ast
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from tools.docs.programs import SHOWN, with_programs
from tools.ship import CLIENT_LAYERS

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = (".venv", ".cache", "build", "node_modules")
PAGES = [p for p in sorted(ROOT.rglob("*.md")) if not set(p.relative_to(ROOT).parts) & {*ELSEWHERE, "golden", "logs"}]
LIBRARY = sorted(ROOT.glob("firmware/lib/umqtt/*.py"))
# Words that a person never sees: `robust` prints them when DEBUG is set, `reconnect` looks for them in a text.
NOT_TOLD = ("mqtt reconnect:", "closed by")


def named(page):
    return str(page.relative_to(ROOT))


def parsed(page):
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def anchors(page):
    """The anchors of a page, as GitHub and mkdocs make them of its headings."""
    found = set()
    tokens = parsed(page)
    for heading, content in zip(tokens, tokens[1:]):
        if heading.type == "heading_open":
            text = "".join(c.content for c in content.children if c.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
            n = 0
            while slug + ("-%d" % n if n else "") in found:
                n += 1
            found.add(slug + ("-%d" % n if n else ""))
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', page.read_text()))


def links(page):
    for token in parsed(page):
        for child in token.children or ():
            target = child.attrGet("href" if child.type == "link_open" else "src")
            if child.type in ("link_open", "image") and not re.match(r"[a-z]+:", target):
                yield unquote(target)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page):
    broken = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or anchor and there.suffix == ".md" and anchor not in anchors(there):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_program_in_a_page_is_the_one_that_is_tested(page):
    text = page.read_text()
    assert text == with_programs(text), "run `make docs`: it copies the programs into their pages"


def test_every_program_is_shown_in_one_page_or_linked():
    shown = [m[2] for page in PAGES for m in SHOWN.finditer(page.read_text())]
    every = ["examples/" + p.name for p in sorted(ROOT.glob("examples/*.py"))]
    assert sorted(shown + ["examples/wifi.py"]) == every


def texts(path):
    """The strings of a module that are words for a person: those with a blank in them, docstrings and hints aside."""
    tree = ast.parse(path.read_text())
    aside = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            aside.add(id(body[0].value))
        hints = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        aside.update(id(part) for hint in hints if hint is not None for part in ast.walk(hint))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in aside:
            # The signs of umqtt.tls are many texts in one, and what they answer to.
            for words in node.value.split("|"):
                if re.search(r"\w[:;,]? \w", words) and words not in NOT_TOLD:
                    yield words


def as_told(words):
    """`…` for what differs each time."""
    return re.sub(r"%s/%s|%\d*[a-z]", "…", words).strip().removesuffix(" …")


def told(name="errors.md"):
    page = (ROOT / "docs" / name).read_text()
    rows = [row.split("|") for row in page.splitlines() if row.startswith("| ") and not row.startswith("| words")]
    return {text.removesuffix(" …") for row in rows for text in re.findall(r"`([^`]+)`", row[1])}


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_every_text_of_the_library_has_a_row_that_says_what_to_do(path):
    rows = told()
    missing = [words for words in texts(path) if as_told(words) not in rows]
    assert missing == [], "docs/errors.md: a row for each, with … for what differs"


def test_no_row_is_of_a_text_that_nobody_says_any_more():
    said = {as_told(words) for path in LIBRARY for words in texts(path)}
    said |= {one for path in LIBRARY for one in re.findall(r'"([^"]+)"', path.read_text())}
    page = (ROOT / "docs" / "errors.md").read_text()
    page = page.split("\n## The link")[1]
    ports = {"ENOMEM", "MBEDTLS_ERR_SSL_ALLOC_FAILED", "not correctly signed by the trusted CA"}
    rows = re.findall(r"^\| (`.*?`) \|", page, re.M)
    gone = [
        text
        for row in rows
        for text in re.findall(r"`([^`]+)`", row)
        if text.removesuffix(" …") not in said and not text.startswith(("[Errno", "-")) and text not in ports
    ]
    assert gone == [], "docs/errors.md has rows for these, and nothing says them"


# Modules whose public calls are all a program's. In the others some are verbs between parts of the library.
ALL_SHOWN = ("client", "aio", "routes", "stream", "takeback", "outbox", "simple", "robust", "v5", "aio_v5")


def shown_in_reference():
    """{module: {class or function: its methods that are shown}} of docs/api.md."""
    page = (ROOT / "docs" / "api.md").read_text()
    found = {}
    for module, name, options in re.findall(r"^::: umqtt\.(\w+)\.(\w+)\n((?:    .*\n)*)", page, re.M):
        members = re.search(r" members: \[(.*)\]", options)
        found.setdefault(module, {})[name] = set(members[1].split(", ")) if members else set()
    return found


# Modules that a program never imports: beneath the client, or loaded by another part.
NOT_FOR_PROGRAMS = set(
    "__init__ wire session keepalive engine transport tls addons connection roaming journaling journaling_v5".split()
    + [*CLIENT_LAYERS]
    + "recall wanted upstream refusals handshake authentication aliases options properties".split()
    + "fallback incoming outgoing aio_request aio_subscribe in_line inbox inbox_v5 received_by_task".split()
)


def test_every_module_for_programs_is_in_the_reference():
    assert {path.stem for path in LIBRARY} == set(shown_in_reference()) | NOT_FOR_PROGRAMS


FUNCTIONS = ast.FunctionDef, ast.AsyncFunctionDef


def public_methods(node, classes):
    """{name: function} of a class, and of the classes of the library that it is made of."""
    found = {}
    for base in getattr(node, "bases", ()):
        found.update(public_methods(classes.get(getattr(base, "id", "")), classes))
    found.update({n.name: n for n in getattr(node, "body", ()) if isinstance(n, FUNCTIONS) and n.name[0] != "_"})
    return found


@pytest.mark.parametrize("module", sorted(shown_in_reference()))
def test_the_reference_shows_what_there_is_and_each_says_what_it_does(module):
    tree = ast.parse((ROOT / "firmware" / "lib" / "umqtt" / (module + ".py")).read_text())
    classes = {n.name: n for path in LIBRARY for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef)}
    public = [n for n in tree.body if isinstance(n, (*FUNCTIONS, ast.ClassDef)) and not n.name.startswith("_")]
    for name, members in shown_in_reference()[module].items():
        (node,) = [n for n in public if n.name == name]
        assert ast.get_docstring(node), name
        methods = public_methods(node, classes) if isinstance(node, ast.ClassDef) else {}
        for method in methods:
            assert method not in members or ast.get_docstring(methods[method]), "%s.%s" % (name, method)
            assert method in members or module not in ALL_SHOWN, "docs/api.md does not show %s.%s" % (name, method)


CALL_OF = {"publish": "publish", "ping": "ping", "idle": "poll", "receive": "poll"}


def test_a_call_that_is_measured_to_allocate_nothing_says_so():
    budgets = json.loads((ROOT / "tools" / "measure" / "budgets.json").read_text())["operations"]
    trees = [ast.parse(path.read_text()) for path in LIBRARY if path.stem in (*CLIENT_LAYERS, "client")]
    calls = {n.name: ast.get_docstring(n) for t in trees for n in ast.walk(t) if isinstance(n, ast.FunctionDef)}
    free = {
        re.sub(r"\d|_.*", "", row["operation"])
        for row in budgets
        if row["client"] == "native" and row["figure"] == "heap_b" and row["budget"] == 0
    }
    assert free == set(CALL_OF)
    for operation in free:
        assert re.search(r"[Aa]llocates\s+nothing", calls[CALL_OF[operation]]), operation


# Files that a page tells its reader to make, or that a board has.
NOT_OURS = {"my_manifest.py", "config.json", "boot.py", "crash.log"}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_and_targets_that_a_page_names_exist(page):
    text = page.read_text()
    there = {
        p.name for folder in ("firmware", "tools", "host_tests", "examples") for p in ROOT.glob(folder + "/**/*.py")
    }
    files = {Path(name).name for name in re.findall(r"`(?:[\w./]*/)?(\w+\.py)(?:::\w+)?`", text)}
    modules = set(re.findall(r"-m (tools(?:\.\w+)+)", text))
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    gone = {name for name in files - there - NOT_OURS if "NAME" not in name}
    gone |= {m for m in modules if not list(ROOT.glob(m.replace(".", "/") + "*"))}
    gone |= {"make " + t for t in re.findall(r"(?:`|^)make ([a-z][a-z-]+)", text, re.M) if t not in targets}
    assert gone == set() or page.name == "CHANGELOG.md"


# The firmware's modules that say why something failed; other lines say themselves what they mean.
REASONS = ("reasons", "wifi", "clock")


@pytest.mark.parametrize("module", REASONS)
def test_every_reason_of_the_firmware_has_a_row(module):
    page = (ROOT / "docs" / "logs.md").read_text()
    pieces = [as_told(words) for words in texts(ROOT / "firmware" / (module + ".py"))]
    # a text of several pieces: each stands in the row
    missing = [piece for piece in pieces if piece.strip('"… :') not in page]
    assert missing == [], "docs/logs.md: a row for each, with … for what differs"


def test_every_beginning_of_a_line_is_explained():
    rows = set(re.findall(r"^\| `([\w -]+?)(?: N| NAME)?:` \|", (ROOT / "docs" / "logs.md").read_text(), re.M))
    begins = {"program", "note"}
    for path in [*ROOT.glob("firmware/*.py"), *ROOT.glob("firmware/*/*.py")]:
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and call.args:
                words = call.args[0].left if isinstance(call.args[0], ast.BinOp) else call.args[0]
                words = words.value if isinstance(words, ast.Constant) and isinstance(words.value, str) else ""
                name = getattr(call.func, "id", "")
                begin = re.match(r"([A-Za-z][\w -]*?)(?: %d)?:" if name == "print" else r"(\w+)", words)
                if begin and name in ("print", "Trouble"):
                    begins.add(begin[1])
    assert begins - {"note"} == rows, "docs/logs.md: a row for each part that a line can be about"


@pytest.mark.parametrize("page", sorted(p.name for p in ROOT.glob("docs/*.md") if p.name != "README.md"))
def test_every_page_is_on_the_map_and_in_the_navigation(page):
    assert "](%s)" % page in (ROOT / "docs" / "README.md").read_text(), "docs/README.md does not lead there"
    assert ": %s\n" % page in (ROOT / "mkdocs.yml").read_text(), "mkdocs.yml does not lead there"
