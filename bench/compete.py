"""One system, one workload, once: `python -m bench.compete NAME VARIANT WORKLOAD PARAMETERS`.

Runs in the system's own environment and prints the result as JSON in its last line.
"""

import json
import sys
from importlib import import_module

from bench.contender import NotNatural, load, place_from_environment


def main(name: str, variant: str, workload: str, parameters: str) -> int:
    contender = load(name, variant, place_from_environment())
    try:
        run = import_module(f"bench.workloads.{workload}").run
        result = run(contender, **json.loads(parameters))
    except NotNatural:
        result = {"not_natural": True}
    except TimeoutError as error:
        print(contender.worker_deaths() or str(error), file=sys.stderr)
        return 1
    finally:
        contender.stop_workers()
        contender.close()
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
