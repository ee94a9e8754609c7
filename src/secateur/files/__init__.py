"""Networks, plans and ONNX on disk: written whole or not at all, read strictly."""

from secateur.files.atomic import atomically, write_bytes, write_text
from secateur.files.codec import plan_from_json, plan_to_json
from secateur.files.exporting import export
from secateur.files.reading import read_text
from secateur.files.recipes import part_from, recipe_from_toml, recipe_to_toml
from secateur.files.saving import load, load_plan, save, save_plan

__all__ = [
    "atomically",
    "export",
    "load",
    "load_plan",
    "part_from",
    "plan_from_json",
    "plan_to_json",
    "read_text",
    "recipe_from_toml",
    "recipe_to_toml",
    "save",
    "save_plan",
    "write_bytes",
    "write_text",
]
