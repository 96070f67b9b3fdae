// That ARCHITECTURE.md's list of what to touch is true: at most six places by hand, each of which is there, and
// what is added once is found everywhere.

import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { CHART_OPTIONS, type Part } from '../../deploy/generate/chart.ts'
import { permissionsOf } from '../../deploy/generate/steps.ts'
import { readText, TARGETS } from '../../deploy/generate.ts'
import { createCounters, lost } from '../../src/forward/accounting/counters.ts'
import { OPTIONS } from '../../src/forward/options.ts'
import METRICS from '../../src/forward/telemetry/metric-names.json' with { type: 'json' }
import { STEPS } from '../../src/respond/steps/index.ts'
import { envName } from '../../src/shared/options/table.ts'
import { OPTION_TEXTS } from '../support/options.ts'
import { RULES } from '../support/respond-deploy.ts'

const CHART = 'deploy/helm/falco-nats'
const README = readText('README.md')
const VALUES = parse(readText(`${CHART}/values.yaml`))
const { $defs } = JSON.parse(readText(`${CHART}/values.schema.json`))
const HELPERS = readText(`${CHART}/templates/_helpers.tpl`)
const RESPOND = readText(`${CHART}/templates/_respond.tpl`)
const DASHBOARD = readText('deploy/grafana/falco-nats.json')
const ALERT_RULES = readText('deploy/prometheus/rules.yaml')

const SECTION = /\n## Where to add\n([\s\S]*?)\n## /.exec(readText('ARCHITECTURE.md'))![1]!
const ROWS = [...SECTION.matchAll(/^\| (an? [^|]+) \| ([^|]+) \| ([^|]+) \|$/gm)].map(
  ([, what, byHand, generated]) => ({ what: what!, byHand: byHand!, generated: generated! }),
)
const filesIn = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, file]) => file!)

const PERMISSIONS_TEST = readText(
  ROWS.flatMap(({ byHand }) => filesIn(byHand)).find((file) => file.startsWith('test/respond/'))!,
)

describe('the list of what to touch', () => {
  it('has the four', () => {
    expect(ROWS.map(({ what }) => what)).toEqual([
      'an option',
      'a reject reason',
      'a metric',
      'a step',
    ])
  })

  it.each(ROWS)('names at most six places for $what, and files that are there', ({ byHand }) => {
    expect(byHand.split(';').length).toBeLessThanOrEqual(6)
    const files = filesIn(byHand).flatMap((file) =>
      file.includes('<step>')
        ? [...STEPS.keys()].map((step) => file.replace('<step>', step))
        : [file],
    )
    expect(files.filter((file) => !existsSync(new URL(`../../${file}`, import.meta.url)))).toEqual(
      [],
    )
  })

  it('names each generated file, and no other', () => {
    const named = new Set(ROWS.flatMap(({ generated }) => filesIn(generated)))
    expect([...named].sort()).toEqual(TARGETS.map(({ file }) => file).sort())
  })
})

const options = (['natsOutput', 'respond'] as const).flatMap((part) =>
  CHART_OPTIONS[part].map((option) => ({ part, ...option })),
)
const template = { natsOutput: HELPERS, respond: RESPOND + HELPERS }
const at = (part: Part, value: string) =>
  value
    .split('.')
    .reduce((from, key) => from?.[key], part === 'respond' ? VALUES.respond : VALUES.falco[part])

describe.each(options)('the option $key of $part', ({ part, key, row, value, isPlain }) => {
  it('is in the README, the values, their schema and the environment', () => {
    expect(README).toContain(`\`${row.flags ?? envName(key)}\``)
    expect(at(part, value)).toBeDefined()
    expect(Object.keys($defs[part].properties)).toContain(value.split('.')[0])
    expect(template[part]).toMatch(new RegExp(isPlain ? ` "${key}"` : `\\b${key}\\b`))
  })
})

it.each(Object.keys(OPTIONS))('has a text for the option %s that tests set', (key) => {
  expect(OPTION_TEXTS[key]).toBeTypeOf('string')
})

it.each(['natsOutput', 'respond'] as const)('has in the schema of %s only values', (part) => {
  const keys = Object.keys($defs[part].properties)
  expect(keys.filter((key) => at(part, key) === undefined)).toEqual([])
})

describe('the metrics', () => {
  const named = [...README.matchAll(/^\| `((?:falco_nats|falco_events)\w*)/gm)].map(
    ([, name]) => name!,
  )
  const known = new Set(
    named.flatMap((name) => [name, `${name}_bucket`, `${name}_sum`, `${name}_count`]),
  )

  it('each have a name and a value', () => {
    const names = Object.values(METRICS).flatMap((rows) => Object.keys(rows))
    const ours = names.filter((name) => name.startsWith('falco_'))
    expect(named).toEqual(expect.arrayContaining(ours))
  })

  it.each([
    ['dashboard', DASHBOARD],
    ['rules', ALERT_RULES],
    ['page on Falco', readText('docs/falco.md')],
  ])('of the %s are in the README', (_what, text) => {
    const asked = [...text.matchAll(/\b(falco_nats_\w+|falco_events)\b/g)].map(([name]) => name)
    expect(asked.length).toBeGreaterThan(5)
    expect(asked.filter((name) => !known.has(name))).toEqual([])
  })
})

describe.each(Object.keys(createCounters().rejected))('the reject reason %s', (reason) => {
  it('is in the README, and an alert fires where one is lost by it', () => {
    expect(README).toContain(`| \`${reason}\` |`)
    const counters = createCounters()
    counters.read++
    Object.assign(counters.rejected, { [reason]: 1 })
    const harmless = [...(ALERT_RULES + DASHBOARD).matchAll(/reason!~\\?"([^"\\]+)/g)]
    expect(harmless).toHaveLength(2)
    if (lost(counters) === 0)
      for (const [, reasons] of harmless) expect(reasons!.split('|')).toContain(reason)
    else {
      const [rule, panel] = harmless.map(([, reasons]) => reasons!.split('|'))
      expect(panel).not.toContain(reason)
      if (rule!.includes(reason)) expect(ALERT_RULES).toContain(`{reason="${reason}"}`)
    }
  })
})

describe.each([...STEPS.values()])('the step $name', (step) => {
  it('is in the README, the schema, the permissions of the chart, and in their tests', () => {
    expect(README).toContain(`| \`${step.name}\` |`)
    expect(Object.keys($defs.step.properties)).toContain(step.name)
    expect($defs.step.oneOf).toContainEqual({ required: [step.name] })
    expect(RULES.map(([name]) => name)).toContain(step.name)
    if (permissionsOf(step).always.length === 0) return
    expect(RESPOND).toContain(`"${step.name}" (list "`)
    expect(PERMISSIONS_TEST).toContain(`/${step.name}.ts'`)
  })
})
