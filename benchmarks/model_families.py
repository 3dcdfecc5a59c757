"""Which families of models load, train a round, export and load again.

    python -m benchmarks.model_families [FAMILY ...] [--more]

Each is a tiny model with random weights, in five settings: as it is; with a template that refuses a system message;
with one that leaves it out in silence; without a pad token; without a template (which must be refused before anything
is written). A cell says how far a run came: `loads` (the checks passed and the engine was proven), `trains` (round 0,
a round with an update, the last exam), `exports` (PEFT folders were written), `reloads` (PEFT over the base as
transformers loads it gives the log-probabilities of our engine, within 1e-3).
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.conftest import TEMPLATE  # noqa: E402
from tests.helpers.model_families import (  # noqa: E402
    DROPS_SYSTEM,
    FAMILIES,
    MORE,
    NO_SYSTEM,
    Family,
    write_family,
)
from tests.leagues import Nobody, tiny  # noqa: E402

SETTINGS: dict[str, dict[str, object]] = {
    "as it is": {},
    "no system role": {"template": NO_SYSTEM},
    "system left out": {"template": DROPS_SYSTEM},
    "no pad token": {"pad": False},
    "no template": {"template": None},
}
STEPS = ("loads", "trains", "exports", "reloads")
CLOSE = 1e-3


def tried(family: Family, folder: Path, **setting: object) -> str:
    """How far a run over such a model comes; an error's first words where it ends early."""
    from league.errors import UserError
    from league.loop import train
    from league.preflight.checks import prepare
    from league.runtime.assembly import load_bank
    from league.runtime.export import choose, export_agents
    from league.store.reader import RunReader

    template = setting.get("template", TEMPLATE)
    assert template is None or isinstance(template, str)
    model = write_family(folder / "model", family, template=template, pad=bool(setting.get("pad", True)))
    config = tiny(model, folder / "runs", adapter__targets=list(family.targets), league__rounds=1)
    done: list[str] = []
    try:
        prepared = prepare(config, progress=lambda line: None)
        load_bank(prepared)
        done.append("loads")
        run = train(prepared, Nobody())
        done.append("trains")
        with RunReader.read(run) as reader:
            exported = export_agents(run, reader, choose(reader, 1, "accuracy", []), folder / "out")
        done.append("exports")
        gap = reload_gap(model, exported[0].folder)
        done.append("reloads" if gap < CLOSE else f"differs by {gap:.2g}")
    except UserError as error:
        written = "" if not (folder / "runs" / "tiny").exists() else ", after a run folder was made"
        done.append(f"refused{written}: {str(error).splitlines()[-1].strip()[:100]}")
    except Exception as error:  # noqa: BLE001 (what is measured: anything that comes out of it)
        done.append(f"INTERNAL ERROR {type(error).__name__}: {str(error)[:80]}")
    return "yes" if tuple(done) == STEPS else "; ".join(done)


def reload_gap(model: Path, adapter: Path) -> float:
    """Largest difference of log-probabilities, ours and those of PEFT over the base, on 24 tokens."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from league.model.bank import AdapterBank
    from league.model.base import BaseModel
    from league.model.peft_io import import_peft
    from league.model.score import score
    from league.types import Sampling, Version

    base = BaseModel.load(model, device="cpu", dtype="float32", threads=1)
    bank, version = AdapterBank(base), Version("again", 0)
    import_peft(bank, version, adapter, trainable=False)
    tokens = tuple(torch.randint(3, 200, (25,), generator=torch.Generator().manual_seed(5)).tolist())
    (ours_T,) = score(bank, [(tokens[:1], tokens[1:])], [version], [Sampling()])
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), str(adapter))
    with torch.no_grad():
        logits_TV = theirs(input_ids=torch.tensor([tokens])).logits[0, :-1].float()
    theirs_T = logits_TV.log_softmax(-1).gather(1, torch.tensor(tokens[1:])[:, None]).squeeze(1)
    return float((ours_T - theirs_T).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", nargs="*", help="names of families; all when left out")
    parser.add_argument("--more", action="store_true", help="families beyond the ten of the table, too")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    known = FAMILIES | MORE if asked.more or asked.family else FAMILIES
    print(f"| family | {' | '.join(SETTINGS)} |\n|{'---|' * (len(SETTINGS) + 1)}", flush=True)
    for name in asked.family or known:
        cells = []
        for setting in SETTINGS.values():
            with tempfile.TemporaryDirectory() as folder:
                cells.append(tried(known[name], Path(folder), **setting))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
