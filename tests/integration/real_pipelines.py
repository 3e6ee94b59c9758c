"""The pipelines of `test_language_real.py`, by name, as a user writes them."""

_TIDY = """
  finally:
    - id: tidy
      job: RunSql
      with:
        sql: "insert into tidied values ({{ params.name }}, {{ params.run }})"
        params: {name: "{{ run.pipeline }}", run: "{{ run.id }}"}
"""

PIPELINES = {
    "plain": "steps: [{id: only, job: RunSql, with: {sql: select 1}}]\n",
    "rules": """
steps:
  - {id: "off", job: RunSql, when: "false", with: {sql: select 1}}
  - {id: bad, job: FailedJob, retry: {limit: 0}}
  - {id: middle, job: RunSql, depends_on: ["off", bad], with: {sql: select 1}}
  - {id: last, job: RunSql, depends_on: [middle], with: {sql: select 1}}
  - {id: goes_on, job: RunSql, depends_on: [last], trigger_rule: none_failed, with: {sql: select 1}}
  - {id: warns, job: RunSql, depends_on: [last], trigger_rule: one_failed, with: {sql: select 1}}
  - {id: always, job: RunSql, depends_on: [last], trigger_rule: all_done, with: {sql: select 1}}
  - {id: told, job: RunSql, depends_on: [bad, last], trigger_rule: all_failed,
     with: {sql: select 1}}
  - {id: any, job: RunSql, depends_on: [bad, "off"], trigger_rule: one_done, with: {sql: select 1}}
  - {id: some, job: RunSql, depends_on: ["off"], trigger_rule: none_failed_min_one_success,
     with: {sql: select 1}}
  - {id: free, job: RunSql, depends_on: [bad], trigger_rule: always, with: {sql: select 1}}
""",
    "nothing": """
params: {regions: {type: list, default: []}}
steps:
  - {id: each, job: FailedJob, foreach: {items: "{{ params.regions }}"}}
  - {id: page, job: RunSql, depends_on: [each], trigger_rule: one_failed, with: {sql: select 1}}
  - {id: after, job: RunSql, depends_on: [each], with: {sql: select 1}}
""",
    "slow": f"""
steps:
  - {{id: load, job: SlowQuery, with: {{duration: 600}}}}
  - {{id: after, job: RunSql, depends_on: [load], with: {{sql: select 1}}}}
handlers:
  failure: [{{id: note, job: RunSql, with: {{sql: select 1}}}}]
{_TIDY}""",
    "divides": f"""
params: {{day: {{type: date, required: true}}}}
steps:
  - id: load
    job: RunSql
    retry: {{limit: 0}}
    with: {{sql: select 1 / n from divisor}}
handlers:
  success: [{{id: cheer, job: RunSql, with: {{sql: select 1}}}}]
{_TIDY}""",
    "replaced": f"""
concurrency: {{limit: 1, on_conflict: replace}}
params: {{wait: {{type: integer, default: 600}}}}
steps:
  - id: load
    job: RunSql
    with:
      sql: "select pg_sleep({{{{ params.seconds }}}})"
      params: {{seconds: "{{{{ params.wait }}}}"}}
handlers:
{_TIDY}""",
    "tells": """
steps:
  - {id: load, job: RunSql, retry: {limit: 0}, with: {sql: select * from nowhere}}
  - {id: other, job: RunSql, with: {sql: select 1}}
handlers:
  success: [{id: cheer, job: RunSql, with: {sql: select 1}}]
  failure:
    - id: note
      job: RunSql
      when: "'load' in run.failed_steps"
      with:
        sql: "select {{ params.why }} as why, {{ params.steps }} as steps, {{ params.run }} as run"
        params:
          why: "{{ steps.load.error }}"
          steps: "{{ run.failed_steps }}"
          run: "{{ run.id }}"
""",
    "no_table": """
steps:
  - {id: only, job: RunSql, retry: {limit: 3, delay: 60s}, with: {sql: select * from nowhere}}
""",
    "by_zero": """
steps:
  - {id: only, job: RunSql, retry: {limit: 3, delay: 60s}, with: {sql: select 1 / 0}}
""",
    "no_number": """
steps:
  - id: only
    job: RunSql
    retry: {limit: 3, delay: 60s}
    with: {sql: "select cast('x' as integer)"}
""",
    "taken_key": """
steps:
  - {id: only, job: RunSql, retry: {limit: 1, delay: 0s}, with: {sql: insert into taken values (1)}}
""",
    "line": """
concurrency: {limit: 1}
params: {gate: {type: string, required: true}}
steps:
  - id: only
    job: RunSql
    with: {sql: "select wait_for({{ params.gate }})", params: {gate: "{{ params.gate }}"}}
""",
    "names": """
steps:
  - id: make
    job: RunSql
    with: {sql: create table job (n int); insert into job values (1)}
  - {id: count, job: RunSql, depends_on: [make], with: {sql: select count(*) from run}}
  - {id: delete, job: RunSql, depends_on: [make], with: {sql: delete from attempt}}
  - {id: drop, job: RunSql, depends_on: [make], with: {sql: drop table worker}}
  - {id: truncate, job: TruncateTable, depends_on: [make], with: {table: run}}
  - {id: export, job: ExportQuery, depends_on: [make], with: {path: x.csv, sql: select * from run}}
  - {id: empty, job: TruncateTable, depends_on: [make], with: {table: job}}
""",
    "yearly": """
schedule: {cron: "30 4 1 1 *", timezone: Europe/Berlin}
steps: [{id: only, job: RunSql, with: {sql: select 1}}]
""",
    "asks": """
steps:
  - {id: plain, job: RunSql, with: {sql: select 1}}
  - {id: slots, job: RunSql, pool: narrow, with: {sql: select 1}}
  - {id: both, job: RunSql, pool: narrow, env: {REGION: eu}, with: {sql: select 1}}
  - {id: rows, job: RunSql, with: {sql: select 1 as n}}
  - id: each
    job: RunSql
    depends_on: [rows]
    env: {REGION: eu}
    foreach: {items: "{{ steps.rows.result.rows }}"}
    with: {sql: select 1}
  - id: pooled
    job: RunSql
    depends_on: [rows]
    pool: narrow
    foreach: {items: "{{ steps.rows.result.rows }}"}
    with: {sql: select 1}
  - id: bare
    job: RunSql
    depends_on: [rows]
    foreach: {items: "{{ steps.rows.result.rows }}"}
    with: {sql: select 1}
  - {id: known, job: RunSql, pool: narrow, foreach: {items: [1]}, with: {sql: select 1}}
""",
    "digits": """
params: {given: {type: number, default: "98765432109876543.21"}}
steps:
  - id: read
    job: RunSql
    with:
      sql: select n, jsonb_build_object('n', n) j from (values (12345678901234567.89)) v (n)
  - id: hands_on
    job: RunSql
    depends_on: [read]
    with:
      sql: >-
        select {{ params.given }}::text given, {{ params.n }} + 1 more, {{ params.j }}::jsonb j,
        {{ params.row | tojson }}::jsonb -> 'n' n, {{ params.told }} told
      params:
        given: "{{ params.given }}"
        n: "{{ steps.read.result.rows[0].n }}"
        j: "{{ steps.read.result.rows[0].j }}"
        row: "{{ steps.read.result.rows[0] }}"
        told: "it is {{ steps.read.result.rows[0].j | tojson }}"
  - id: each
    job: RunSql
    depends_on: [read]
    foreach: {items: "{{ steps.read.result.rows }}", as: row}
    with: {sql: "select {{ params.n }} + 1 as more", params: {n: "{{ row.n }}"}}
  - id: program
    job: ShellCommand
    depends_on: [read]
    env: {N: "{{ steps.read.result.rows[0].n }}"}
    with: {command: [sh, -c, 'echo "$N $0"', "{{ steps.read.result.rows[0].n }}"]}
""",
    "eight": "steps: [{id: only, job: SlowQuery, with: {duration: 8}}]\n",
}
