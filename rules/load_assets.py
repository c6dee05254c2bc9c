"""Assets: of inventories in CSV or YAML, and of tests."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from rules.document import AssetDoc, check
from rules.errors import Problem, Problems, near
from rules.load_values import typed
from rules.model import Asset, AssetClass, Pack, Pos, Rule
from rules.overrides import Sources
from rules.reader import MAX_BYTES, File, Node, Scalar, Sequence, describe, read

OVERRIDES = "overrides"
#: Values by their keys, each with the position of its key.
Placed = dict[str, tuple[Pos, Scalar]]


class AssetReader:
    """Makes assets out of written values, for the classes and rules of one pack."""

    def __init__(self, pack: Pack) -> None:
        self.classes = pack.classes
        kept = pack.variants
        self.sources = kept if isinstance(kept, Sources) else Sources({}, {}, {}, {})
        self.rules: dict[tuple[str, str], Rule] = {(rule.id, rule.cls): rule for rule in pack.rules}

    def asset(self, key: Scalar, cls: Scalar, attributes: Placed, overrides: Placed,
              problems: Problems) -> Asset | None:
        """An asset, or None if its class is unknown."""
        found = self.classes.get(cls.text)
        if found is None:
            problems.add(cls.at, f"unknown class {describe(cls)}", near(cls.text, self.classes))
            return None
        given: dict[str, float | str] = {}
        for name, (at, value) in attributes.items():
            made = self._attribute(found, name, at, value, problems)
            if made is not None:
                given[name] = made
        scalars = {name: value for name, (_, value) in overrides.items()}
        self.sources.check(scalars, {name: at for name, (at, _) in overrides.items()}, found.name,
                           self.rules, problems)
        return Asset(key.text, found.name, given,
                     {name: value.text for name, value in scalars.items()})

    def _attribute(self, cls: AssetClass, name: str, at: Pos, value: Scalar,
                   problems: Problems) -> float | str | None:
        attribute = cls.attributes.get(name)
        if attribute is None:
            problems.add(at, f"unknown attribute `{name}` of class `{cls.name}`",
                         near(name, cls.attributes))
            return None
        if attribute.by is not None:
            problems.add(at, f"attribute `{name}` is looked up by `{attribute.by}`",
                         f"give `{attribute.by}` instead")
            return None
        return typed(value, attribute, name, problems)


def read_inventory(path: str | Path, pack: Pack) -> tuple[tuple[Asset, ...], tuple[Problem, ...]]:
    """The assets of an inventory file (`.csv`, `.jsonl` with an asset a line, else YAML, of which
    JSON is a part); no assets if any problem is an error."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        at = Pos(str(path), 1, 1)
        return (), (Problem(at, f"inventory cannot be read: {error.strerror}"),)
    return inventory(str(path), data, pack)


def inventory(path: str, data: bytes, pack: Pack) -> tuple[tuple[Asset, ...], tuple[Problem, ...]]:
    """As `read_inventory`, from the content; pure."""
    problems = Problems()
    reader = AssetReader(pack)
    form = Path(path).suffix.lower()
    rows = {".csv": _csv_rows, ".jsonl": _jsonl_rows}.get(form, _yaml_rows)
    assets: dict[str, Asset] = {}
    lines: dict[str, Pos] = {}
    for key, cls, attributes, overrides in rows(path, data, problems):
        if key.text in lines:
            problems.add(key.at, f"duplicate asset {describe(key)}",
                         f"the first is in line {lines[key.text].line}")
            continue
        lines[key.text] = key.at
        made = reader.asset(key, cls, attributes, overrides, problems)
        if made is not None:
            assets[made.id] = made
    return () if problems.has_errors else tuple(assets.values()), tuple(problems.sorted())


Row = tuple[Scalar, Scalar, Placed, Placed]


def _yaml_rows(path: str, data: bytes, problems: Problems) -> Iterator[Row]:
    root: Node | None = read(path, data, problems)
    if root is None:
        return
    if not isinstance(root, Sequence):
        problems.add(root.at, f"expected a list of assets, found {describe(root)}",
                     "- {id: L1, class: elevator, attributes: {…}}")
        return
    for item in root.items:
        doc = check(AssetDoc, item, problems)
        if doc is not None:
            yield (doc.id, doc.cls, _placed(doc, "attributes", doc.attributes),
                   _placed(doc, OVERRIDES, doc.overrides))


def _jsonl_rows(path: str, data: bytes, problems: Problems) -> Iterator[Row]:
    """Lines of JSON, as items of a list in YAML; so columns count from the second on."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return _yaml_rows(path, b"\n".join(b"- " + x if x.strip() else b"" for x in lines), problems)


def _placed(doc: AssetDoc, section: str, values: dict[str, Scalar]) -> Placed:
    node = doc.node.values.get(section)
    keys = node.keys if node is not None and not isinstance(node, Scalar | Sequence) else {}
    return {name: (keys[name].at, value) for name, value in values.items()}


def _csv_rows(path: str, data: bytes, problems: Problems) -> Iterator[Row]:
    """Rows of a CSV with a header; a column whose name has a dot is an override."""
    if len(data) > 64 * MAX_BYTES:
        problems.add(Pos(path, 1, 1), "inventory of more than 256 MiB")
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problems.add(Pos(path, line, 1), "not UTF-8", "save the file as UTF-8")
        return
    reader = csv.reader((f"{line}\n" for line in text.split("\n")), strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            scalars = _cells(path, line, cells)
            if not header:
                header = [cell.strip() for cell in cells]
                if not _header(scalars, header, problems):
                    return
                continue
            if len(cells) > len(header):
                problems.add(scalars[len(header)].at,
                             f"{len(cells)} cells, but the header has {len(header)}",
                             "put double quotes around a text with a comma")
                continue
            row = {name: scalar for name, scalar in zip(header, scalars, strict=False)
                   if scalar.text}
            missing = [name for name in ("id", "class") if name not in row]
            if missing:
                problems.add(Pos(path, line, 1), f"{missing[0]} missing")
                continue
            rest = {name: (scalar.at, scalar) for name, scalar in row.items()
                    if name not in {"id", "class"}}
            yield (row["id"], row["class"],
                   {name: cell for name, cell in rest.items() if "." not in name},
                   {name: cell for name, cell in rest.items() if "." in name})
    except csv.Error as error:
        problems.add(Pos(path, reader.line_num, 1), f"not csv: {error}")


def _header(scalars: list[Scalar], header: list[str], problems: Problems) -> bool:
    for name in ("id", "class"):
        if name not in header:
            problems.add(scalars[0].at, f"column {name} missing",
                         "the first line names the columns: id,class,…")
            return False
    for index, name in enumerate(header):
        if name in header[:index] or not name:
            problems.add(scalars[index].at, f"duplicate column `{name}`" if name
                         else "a column without a name")
            return False
    return True


def _cells(path: str, line: int, cells: list[str]) -> list[Scalar]:
    """The cells as scalars; columns are those of a line without quoted cells."""
    column = 0
    scalars = []
    for cell in cells:
        text = cell.strip()
        scalars.append(Scalar(File(path, text), text, line - 1, column, 0, len(text), plain=True))
        column += len(cell) + 1
    return scalars
