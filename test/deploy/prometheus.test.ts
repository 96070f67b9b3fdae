// Real Prometheus against running processes: what it scrapes, what the dashboard and the rules make of
// it. Debian's package `prometheus` has both programs.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { falcoNats, stopped } from '../support/cli.ts'
import { alertLines, fixture, numberedAlert } from '../support/fixtures.ts'
import { freePort, startNats } from '../support/nats.ts'
import { get, SCRAPED } from '../support/scrape.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const RULES = new URL('../../deploy/prometheus/rules.yaml', import.meta.url).pathname
const RULES_TEST = new URL('../fixtures/prometheus/rules.test.yaml', import.meta.url).pathname
const DASHBOARD = new URL('../../deploy/grafana/falco-nats.json', import.meta.url)

const isHere = spawnSync('promtool', ['--version']).status === 0
if (!isHere) console.warn('skipped: no prometheus and promtool on PATH (Debian: prometheus)')

interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [time: number, value: string]
}

/** A Prometheus that scrapes these addresses, each with its labels, four times a second. */
async function startPrometheus(targets: readonly (readonly [address: string, labels: object])[]) {
  const dir = tempDir()
  const port = await freePort()
  const statics = targets.map(([address, labels]) => ({ targets: [address], labels }))
  const config = {
    global: { scrape_interval: '250ms', evaluation_interval: '250ms' },
    rule_files: [RULES],
    scrape_configs: [{ job_name: 'falco', static_configs: statics }],
  }
  writeFileSync(dir.file('prometheus.yml'), JSON.stringify(config))
  const child = spawn(
    'prometheus',
    [
      `--config.file=${dir.file('prometheus.yml')}`,
      `--storage.tsdb.path=${dir.file('data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  child.stderr.on('data', (text) => {
    said += text
  })
  const ask = async <T>(path: string): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)
    const { status, data, error } = (await response.json()) as Record<string, never>
    if (status !== 'success') throw new Error(`${path}: ${error}`)
    return data as T
  }
  const prometheus = {
    ask,
    async query(expression: string): Promise<readonly Series[]> {
      const { result } = await ask<{ result: Series[] }>(
        `query?query=${encodeURIComponent(expression)}`,
      )
      return result
    },
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit')
      if (child.exitCode === null) child.kill('SIGKILL')
      if (child.exitCode === null) await gone
      dir[Symbol.dispose]()
    },
  }
  await until('Prometheus is up', async () => {
    if (child.exitCode !== null) throw new Error(`prometheus ended: ${said}`)
    return await prometheus.query('up').then(
      () => true,
      () => false,
    )
  })
  return prometheus
}

/** Falco's own counter, for the rule that compares it with ours. */
async function startFalcoMetrics() {
  let matches = 0
  const server = createServer((_, response) => {
    matches += 10
    response.end(`falcosecurity_falco_rules_matches_total{rule_name="r"} ${matches}\n`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

interface Rule {
  readonly name: string
  readonly query: string
  readonly health: string
}

interface Panel {
  readonly title: string
  readonly type: string
  readonly targets?: readonly { readonly expr: string }[]
}

/** Every query of the dashboard, by the title of its panel, as Grafana would send it. */
function dashboardQueries(): [title: string, expressions: string[]][] {
  const { panels } = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as { panels: Panel[] }
  const variables: Record<string, string> = {
    $__rate_interval: '60s',
    $__range: '1h',
    $instance: '.*',
    $namespace: '.*',
  }
  return panels
    .filter(({ targets }) => targets)
    .map(({ title, targets }) => [
      title,
      targets!.map(({ expr }) => expr.replace(/\$\w+/g, (name) => variables[name]!)),
    ])
}

/** What a query gave, by the value of one label. */
const byLabel = (series: readonly Series[], label: string) =>
  Object.fromEntries(series.map(({ metric, value }) => [metric[label] ?? '', Number(value[1])]))

interface FixtureAlert {
  readonly priority: string
  readonly rule: string
  readonly hostname: string
  readonly output_fields?: Record<string, string>
}

/** How many alerts of the fixture have each value of `field`. */
function counted(field: (alert: FixtureAlert) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const line of alertLines()) {
    const key = field(JSON.parse(String(line)))
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}

const NUMBERS = 'emergency,alert,critical,error,warning,notice,informational,debug'.split(',')

describe.skipIf(!isHere)('Prometheus', () => {
  it('scrapes; the dashboard and the rules see what happened', async () => {
    using dir = tempDir()
    await using server = await startNats()
    await using falco = await startFalcoMetrics()
    const start = (...args: string[]) =>
      falcoNats(['-f', '-', '-s', server.url, ...SCRAPED, ...args])
    await using busy = start('--spool-dir', dir.file('spool'), '--min-priority', 'info')
    await using silent = start()
    await using full = start('--buffer-bytes', '16K', '--batch-bytes', '4K', '--when-full', 'drop')
    const addressOf = async (running: typeof busy) =>
      String((await running.logged('serving /metrics')).address)
    await using prometheus = await startPrometheus([
      [await addressOf(busy), { namespace: 'n', pod: 'busy' }],
      [falco.address, { namespace: 'n', pod: 'busy' }],
      [await addressOf(silent), { namespace: 'n', pod: 'silent' }],
      [falco.address, { namespace: 'n', pod: 'silent' }],
      [await addressOf(full), { namespace: 'n', pod: 'full' }],
    ])
    const { query } = prometheus
    const isTrue = (expression: string) =>
      until(expression, async () => (await query(expression)).length > 0)
    await isTrue('count(falco_nats_connected == 1) == 3')
    busy.child.stdin.write(fixture('alerts.jsonl'))
    await isTrue('falco_nats_lines_read_total{pod="busy",result="alert"} == 300')
    // A rate is made of two scrapes.
    await isTrue('count(count_over_time(falco_nats_connected[1m]) > 1) == 3')

    const queries = new Map(dashboardQueries())
    expect(queries.size).toBeGreaterThan(10)
    for (const [title, expressions] of queries)
      for (const expression of expressions)
        expect([title, expression, (await query(expression)).length > 0]).toEqual([
          title,
          expression,
          true,
        ])
    const gives = async (title: string, label: string) =>
      byLabel(await query(queries.get(title)![0]!), label)
    const number = (name: string) => String(NUMBERS.indexOf(name.toLowerCase()))
    expect(await gives('Alerts by priority', 'priority')).toEqual(
      counted(({ priority }) => number(priority)),
    )
    for (const [title, label, field] of [
      ['Alerts by rule', 'rule', ({ rule }) => rule],
      ['Alerts by node', 'hostname', ({ hostname }) => hostname],
      ['Alerts by namespace', 'k8s_ns_name', (a) => a.output_fields?.['k8s.ns.name'] ?? ''],
    ] as [string, string, (alert: FixtureAlert) => string][]) {
      const all = counted(field)
      const shown = await gives(title, label)
      const most = Object.values(all).sort((a, b) => b - a)
      expect(Object.values(shown).sort((a, b) => b - a)).toEqual(most.slice(0, 10))
      for (const [name, count] of Object.entries(shown))
        expect([name, count]).toEqual([name, all[name]])
    }
    // The query that people used with falco-exporter.
    const pod = JSON.parse(
      String(alertLines().find((line) => /"k8s.pod.name":"/.test(String(line)))),
    ).output_fields['k8s.pod.name']
    const events = await query(`falco_events{k8s_pod_name="${pod}"}`)
    expect(events.length).toBeGreaterThan(0)
    expect(await gives('Connected', 'none')).toEqual({ '': 1 })
    expect(await gives('Lost', 'none')).toEqual({ '': 0 })
    expect(await gives('Not accounted for', 'none')).toEqual({ '': 0 })

    // Now things go wrong.
    await server.stop('SIGKILL')
    for (let n = 0; n < 2000; n++) full.child.stdin.write(`${numberedAlert(n)}\n`)
    full.child.stdin.write('no alert\n'.repeat(200))
    const rules = await until('all rules were evaluated', async () => {
      const { groups } = await prometheus.ask<{ groups: { rules: Rule[] }[] }>('rules')
      const rules = groups.flatMap(({ rules }) => rules)
      return rules.every(({ health }) => health !== 'unknown') ? rules : undefined
    })
    expect(rules.map(({ health }) => health)).toEqual(Array(10).fill('ok'))
    const podsOf = async (name: string) =>
      (await query(rules.find((rule) => rule.name === name)!.query)).map(({ metric }) => metric.pod)
    for (const [name, pods] of [
      ['FalcoNatsNotConnected', ['busy', 'full', 'silent']],
      ['FalcoNatsAlertsDropped', ['full']],
      ['FalcoNatsRejectsRising', ['full']],
      ['FalcoNatsFalcoDrops', ['busy']],
      ['FalcoNatsSilent', ['silent']],
    ] as const)
      await until(
        `${name} sees ${pods}`,
        async () => (await podsOf(name)).sort().join() === pods.join(),
      )
    for (const name of ['FalcoNatsAlertsRefused', 'FalcoNatsInputPaused'])
      expect([name, await podsOf(name)]).toEqual([name, []])
    expect((await stopped(silent)).code).toBe(0)
  })

  it('finds the rules right, and that each alert fires when it should', () => {
    expect(String(execFileSync('promtool', ['check', 'rules', RULES]))).toContain(
      'SUCCESS: 10 rules',
    )
    expect(String(execFileSync('promtool', ['test', 'rules', RULES_TEST]))).toContain('SUCCESS')
  })

  it('finds the metrics well named, but for the name that falco-exporter gave', async () => {
    await using server = await startNats()
    const lint = async (...args: string[]) => {
      await using running = falcoNats(['-f', '-', '-s', server.url, ...SCRAPED, ...args])
      running.child.stdin.write(fixture('alerts.jsonl'))
      const text = await until('all is confirmed', async () => {
        const text = await (await get(running, '/metrics')).text()
        return text.includes('result="acked"} 300') ? text : undefined
      })
      const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
        input: text,
      })
      return { status, said: `${stdout}${stderr}` }
    }
    expect(await lint('--falco-events', 'off')).toEqual({ status: 0, said: '' })
    const { said } = await lint()
    expect(said).toBe('falco_events counter metrics should have "_total" suffix\n')
  })
})

it('has a runbook line in the README for each alert', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const names = [...readFileSync(RULES, 'utf8').matchAll(/- alert: (\w+)/g)].map(
    ([, name]) => name!,
  )
  expect(names).toHaveLength(10)
  for (const name of names) expect(readme).toContain(`\`${name}\``)
})
