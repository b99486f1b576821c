"""Which module names Python's re.fullmatch takes for patterns as people write
them into target_modules: test/golden/module_patterns.json.

Usage: python tools/golden/make_module_patterns.py   (Python's own re, no packages)
"""

import json
import pathlib
import re

NAMES = [
    "model.layers.0.self_attn.q_proj", "model.layers.11.self_attn.v_proj",
    "model.layers.11.mlp.down_proj", "model.layers.2.mlp.experts.3.gate_proj",
    "lm_head", "q_proj", "", "transformer.h.0.attn.c_attn",
    "unet.down_blocks.1.attentions.0.to_k", "a.b", "aab", "aaab", "x-y_z 9",
]
PATTERNS = [
    r".*q_proj", r"model\.layers\.\d+\.self_attn\.(q|v)_proj", r"lm_head|q_proj",
    r".*\.(q_proj|v_proj|down_proj)$", r"^model.*", r"model\.layers\.[0-9]\..*",
    r"model\.layers\.(?:1[0-5]|[2-9])\..*", r"", r".*", r"(.*\.)?(q_proj)",
    r"a{2}b", r"a{2,3}b", r"a{3,}b", r"a{,2}b", r"a+b", r"a*?b", r"(aa|a)ab",
    r"[^.]+", r"[\w.]+", r"[a-c.]+", r"\w+\.\w", r"\S+", r".*\s\d", r"x[-_]y.*",
    r"(a|b|\.)*", r"((a|aa)+)+b", r".*\.to_(k|q|v|out\.0)", r"[]a]+b", r"a.b$",
    r"(q_proj", r"[a", r"*a", r"a**", r"a{3,2}", r"(?=a)a.*", r"(a)\1b", r"\bq.*",
    r"(?i)Q_PROJ", r"a++b", r"[z-a]",
]


def main():
    rows = []
    for pattern in PATTERNS:
        try:
            compiled = re.compile(pattern)
        except re.error:
            rows.append({"pattern": pattern, "error": True})
            continue
        rows.append({"pattern": pattern,
                     "matches": [bool(compiled.fullmatch(n)) for n in NAMES]})
    path = pathlib.Path(__file__).parents[2] / "test/golden/module_patterns.json"
    path.write_text(json.dumps({"names": NAMES, "rows": rows}, indent=1) + "\n")


main()
