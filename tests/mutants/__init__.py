"""Random faults in the code, each against the tests that execute its line: `make mutants`.

1. `marks` notes, in every process, which lines are executed; `recorder` keeps them per test.
2. `python_faults` and `sql_faults` list what could be broken; `sample` draws from it.
3. `trial` breaks one place in a copy of the tree and runs the tests that execute it.
4. `report` counts by room and by operator, and lists what no test noticed.
"""
