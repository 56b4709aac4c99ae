#!/usr/bin/env python3
"""Checks what `mindrail data` writes against the programs that others read it with.

    python -m venv VENV && VENV/bin/pip install datasets huggingface_hub mlcroissant
    VENV/bin/python scripts/check_export.py export FOLDER
    VENV/bin/python scripts/check_export.py cache CACHE OWNER/NAME FILE

`export` loads an exported folder with `datasets`, reads its card with
`huggingface_hub`, and validates its Croissant file and reads a record of each
record set with `mlcroissant`. `cache` finds a file that `mindrail data pull`
brought, offline. Prints counts and names, no text. For developers; CI has no use of it.
"""

import hashlib
import json
import os
import sys
from pathlib import Path


def check_rows(folder: Path) -> dict[str, int]:
    """Every split loads with the features that the card declares."""
    import datasets

    loaded = datasets.load_dataset(str(folder), cache_dir=str(folder.parent / "cache-of-check"))
    for name, split in loaded.items():
        print(f"datasets {datasets.__version__}: {name} has {split.num_rows} rows, {len(split.features)} columns")
        assert "mindrail_licence" in split.features
        for row in split.select(range(min(3, split.num_rows))):
            assert row["mindrail_licence"]
    return {name: split.num_rows for name, split in loaded.items()}


def check_card(folder: Path, rows: dict[str, int]) -> None:
    """The front matter parses, and its counts are those that were loaded."""
    import huggingface_hub

    card = huggingface_hub.DatasetCard.load(folder / "README.md")
    info = card.data.to_dict()
    counted = {split["name"]: split["num_examples"] for split in info["dataset_info"]["splits"]}
    assert counted == rows, (counted, rows)
    size = sum(path.stat().st_size for path in (folder / "data").iterdir())
    assert info["dataset_info"]["download_size"] == size
    print(f"huggingface_hub {huggingface_hub.__version__}: license {info['license']}, {info['size_categories']}")


def check_croissant(folder: Path, rows: dict[str, int]) -> None:
    """Valid, with the right hashes, and readable."""
    from importlib.metadata import version

    import mlcroissant

    path = folder / "croissant.json"
    dataset = mlcroissant.Dataset(jsonld=str(path))
    issues = dataset.metadata.issues
    print(f"mlcroissant {version('mlcroissant')}: {len(issues.errors)} errors, {len(issues.warnings)} warnings")
    assert not issues.errors, issues.errors
    for file in json.loads(path.read_text())["distribution"]:
        found = hashlib.sha256((folder / file["contentUrl"]).read_bytes()).hexdigest()
        assert found == file["sha256"], file["contentUrl"]
    total = 0
    for records in dataset.metadata.record_sets:
        count = sum(1 for _ in dataset.records(records.id))
        print(f"mlcroissant: {records.id} gives {count} records of {len(records.fields)} fields")
        total += count
    assert total == sum(rows.values())


def check_cache(cache: str, name: str, file: str) -> None:
    """Python finds offline what Mindrail brought."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import huggingface_hub

    path = huggingface_hub.hf_hub_download(name, file, repo_type="dataset", cache_dir=cache)
    print(f"huggingface_hub {huggingface_hub.__version__}: {Path(path).stat().st_size} bytes")
    folder = huggingface_hub.snapshot_download(name, repo_type="dataset", cache_dir=cache)
    assert Path(path).is_relative_to(folder)
    repos = huggingface_hub.scan_cache_dir(cache).repos
    print("scan_cache_dir:", [(repo.repo_id, repo.nb_files) for repo in repos])
    assert any(repo.repo_id == name and repo.repo_type == "dataset" for repo in repos)


def main() -> None:
    match sys.argv[1:]:
        case ["export", folder]:
            rows = check_rows(Path(folder))
            check_card(Path(folder), rows)
            check_croissant(Path(folder), rows)
        case ["cache", cache, name, file]:
            check_cache(cache, name, file)
        case _:
            sys.exit(__doc__)
    print("good")


if __name__ == "__main__":
    main()
