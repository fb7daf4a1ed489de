# SPDX-License-Identifier: LGPL-2.1-or-later
"""The schemas of what --json prints, for the tests: stricter than for the world.

A key that the schema does not have is an error here, as it would be a promise that nobody made.
"""

import json
import pathlib

import jsonschema

FOLDER = pathlib.Path(__file__).parents[2] / "schemas"
NAMES = ("diagnose", "monitor", "setup", "status", "switch", "switch-dry-run")


def close(schema):
    """A copy in which every object has the keys that are listed, and no other."""
    if isinstance(schema, list):
        return [close(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: close(value) for key, value in schema.items()}
    if "required" in closed:
        assert sorted(closed["required"]) == sorted(closed["properties"]), "every key is always there"
        closed["additionalProperties"] = False
    return closed


def load(name):
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(close(schema))


VALIDATORS = {name: load(name) for name in NAMES}


def problems(name, text):
    """What is wrong with @text as output @name: a list of sentences."""
    try:
        value = json.loads(text)
    except ValueError as error:
        return [f"{name}: no JSON: {error}"]
    return [f"{name}: {'/'.join(map(str, error.absolute_path)) or 'top'}: {error.message}"
            for error in VALIDATORS[name].iter_errors(value)]
