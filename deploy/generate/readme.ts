// The README's tables, from the tables in the code.

import { createCounters } from '../../src/forward/accounting/counters.ts'
import { createFalcoEvents, EVENT_LABELS } from '../../src/forward/accounting/falco-events.ts'
import { allRejects } from '../../src/forward/accounting/rejects.ts'
import { OPTIONS, SAMPLE_OPTIONS } from '../../src/forward/options.ts'
import { createMetrics, type Measured } from '../../src/forward/telemetry/metrics.ts'
import { createRespondMetrics } from '../../src/respond/engine/metrics.ts'
import { RESPOND_OPTIONS } from '../../src/respond/options.ts'
import { STEPS } from '../../src/respond/steps/index.ts'
import type { Outcome, Step } from '../../src/respond/steps/step.ts'
import { environmentNames, type OptionTable } from '../../src/shared/options/table.ts'
import { between } from './between.ts'
import { parametersOf, permissionsOf } from './steps.ts'

/** By the name of their markers: `<!-- options -->`. */
const TABLES: Readonly<Record<string, () => string>> = {
  options: () => optionsMarkdown(OPTIONS),
  'sample options': () => optionsMarkdown(SAMPLE_OPTIONS),
  'respond options': () => optionsMarkdown(RESPOND_OPTIONS),
  rejects: () =>
    table(
      ['rejected because', 'meaning', 'lost?'],
      Object.entries(allRejects()).map(([reason, { meaning, lost }]) => [
        code(reason),
        meaning,
        lost ? 'yes: exit code 1' : 'no',
      ]),
    ),
  metrics: () => metricsMarkdown(FORWARD_TEXT),
  'respond metrics': () => metricsMarkdown(RESPOND_TEXT),
  steps: () => table(['step', 'parameters', 'does it twice?'], [...STEPS.values()].map(stepRow)),
  'step permissions': () => table(['step', 'may'], permissionRows()),
}

export const readme = (text: string): string =>
  Object.entries(TABLES).reduce(
    (text, [name, table]) => between(text, `<!-- ${name} -->\n`, `\n<!-- /${name} -->`, table()),
    text,
  )

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n')
}

export function optionsMarkdown(options: OptionTable): string {
  const rows = Object.entries(options).map(([key, row]) => [
    row.flags ? code(row.flags) : '(environment only)',
    environmentNames(key, row).map(code).join(' '),
    row.default ? code(row.default) : placeholders(row.defaultText ?? ''),
    placeholders(row.help),
  ])
  return table(['flag', 'environment', 'default', 'meaning'], rows)
}

const code = (text: string) => `\`${text}\``

/** `<host>` would be taken for HTML. */
const placeholders = (text: string) => text.replace(/<([^>]*)>/g, '`<$1>`')

/** A process to which every metric applies, and which has counted nothing. */
const NOTHING: Measured = {
  now: 0,
  counters: createCounters(),
  vitals: {
    connected: false,
    waitingMs: 0,
    inFlightAlerts: 0,
    bufferAlerts: 0,
    bufferBytes: 0,
    spoolBytes: 0,
  },
  batcherAlerts: 0,
  mode: 'jetstream',
  bufferLimitBytes: 0,
  spoolLimitBytes: 1,
  events: createFalcoEvents(10),
}

/** In both modes, since a mode is a label. */
const FORWARD_TEXT = await Promise.all(
  (['core', 'jetstream'] as const).map((mode) => createMetrics(() => ({ ...NOTHING, mode }))()),
).then((texts) => texts.join(''))
const RESPOND_TEXT = await respondText()

/** With a sample of each labelled metric, which has none before the first alert. */
async function respondText(): Promise<string> {
  const metrics = createRespondMetrics()
  const [playbook, step] = ['', '']
  for (const result of Object.keys(metrics.sums()))
    metrics.alert(playbook, result as keyof ReturnType<typeof metrics.sums>)
  const outcomes: readonly Outcome[] = ['ok', 'skipped', 'dry_run', 'failed']
  for (const outcome of outcomes) metrics.steps.inc({ playbook, step, outcome })
  metrics.stepSeconds.observe({ step }, 0)
  metrics.inProgress.set({ playbook }, 0)
  metrics.dropped.inc({ playbook }, 0)
  return await metrics.text()
}

/** From the text of /metrics, without what is Node's. */
function metricsMarkdown(text: string): string {
  const helps = text.matchAll(/^# HELP (falco_\w+) (.*)\n# TYPE \1 (\w+)$/gm)
  const rows = new Map(
    [...helps].map(([, name, help, type]) => {
      const isHistogram = type === 'histogram'
      const labels = labelsOf(text, isHistogram ? `${name}_count` : name!)
      const notes = Object.entries(labels).map(([label, values]) =>
        label !== 'priority' && values.length > 1
          ? ` ${code(label)}: ${values.map(code).join(', ')}.`
          : '',
      )
      const names = Object.keys(labels)
      const shown = code(names.length > 0 ? `${name}{${names.join()}}` : name!)
      return [name, [shown, `${help}${isHistogram ? ' A histogram.' : ''}${notes.join('')}`]]
    }),
  )
  return table(['metric', 'what it is'], [...rows.values()])
}

/** The values of each label, as far as there are any before the first alert. */
function labelsOf(text: string, name: string): Readonly<Record<string, string[]>> {
  if (name === 'falco_events') return Object.fromEntries(EVENT_LABELS.map((label) => [label, []]))
  const pairs = [...text.matchAll(new RegExp(`^${name}{(.*)} `, 'gm'))].flatMap(([, labels]) => [
    ...labels!.matchAll(/(\w+)="([^"]*)"/g),
  ])
  const found = Map.groupBy(pairs, ([, label]) => label!)
  const values = [...found].map(([label, of]) => [
    label,
    [...new Set(of.map(([, , value]) => value!))],
  ])
  return Object.fromEntries(values)
}

function stepRow(step: Step): string[] {
  const parameters = parametersOf(step).map(({ name, note }) =>
    note ? `${code(name)} (${note})` : code(name),
  )
  return [code(step.name), parameters.join(', '), step.repeatable ? 'no' : 'hardly, see below']
}

/** Steps that may do the same share a row. */
function permissionRows(): string[][] {
  const rows = Map.groupBy(STEPS.values(), permissionText)
  return [...rows].map(([text, steps]) => [steps.map(({ name }) => code(name)).join(', '), text])
}

function permissionText(step: Step): string {
  const { always, given } = permissionsOf(step)
  const texts = rulesText(always)
  const more = Object.entries(given).map(
    ([parameter, rules]) => `with ${code(parameter)} ${rulesText(rules)}`,
  )
  return [texts, ...more].filter(Boolean).join('; ') || 'nothing'
}

const rulesText = (permissions: readonly string[]) =>
  [
    ...Map.groupBy(
      permissions.map((one) => one.split(' ')),
      ([, resource]) => resource!,
    ),
  ]
    .map(([resource, all]) => `${all.map(([, , verb]) => verb).join(' and ')} ${resource}`)
    .join(', ')
