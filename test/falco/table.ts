// docs/falco-measured.md: what each scenario's sums were, and why some alerts were not delivered.

import { spawnSync } from 'node:child_process'
import { release } from 'node:os'
import packageJson from '../../package.json' with { type: 'json' }
import { falcoVersion } from '../support/falco.ts'
import type { Loss, Row } from './stage.ts'

const WHY: Record<Loss, string> = {
  queue: 'Falco threw its queue away: it reloads, and its output waits for a reader',
  closed: 'Falco wrote where no process reads any more, and logged nothing, until it reopened',
  killed: 'in the memory of the process that was killed, or in the pipe that ended with it',
  ended: 'SIGPIPE ended Falco (141), and its queue with it',
}

const COUNTED = {
  left: 'not delivered in time, in the last line of the log',
  dropped: 'dropped, by priority, in the last line of the log and the metrics',
}

const HEAD = `# Behind the real Falco

<!-- Written by \`npm run falco\`; test/falco/scenarios.ts has the rows. -->

Each row is one run of the real Falco, falco-nats and nats-server, with files opened mostly at 1,000 a second and one alert
for each. \`test/falco\` checks every run: each alert that arrives is byte for byte what Falco printed on its standard output, in
Falco's order and on the right subject, and *raised = delivered + counted + neither*.

- **raised**: what Falco printed, of all rules, and what it threw away of the rule of the load, by its own count (\`rules_matches_total\`,
  and the statistics that it prints at a reload). With ≥ that count is unknown: Falco was killed or has no webserver.
- **delivered**: alerts that arrived. Those that arrived twice are counted once.
- **counted**: alerts that falco-nats counts as lost, in the last line of its log.
- **neither**: alerts that Falco raised, and that falco-nats never got or was killed with. Only these are silent.

Falco sees nothing while it reloads or does not run: files that are opened meanwhile raise no alert.
`

/** The page, for all rows in order. */
export function page(rows: readonly Row[], date: Date): string {
  const nats = spawnSync('nats-server', ['--version'], { encoding: 'utf8' }).stdout.trim()
  const versions = [
    `Falco ${falcoVersion()} (modern eBPF)`,
    `falco-nats ${packageJson.version}`,
    `Node.js ${process.versions.node}`,
    nats.replace(': v', ' '),
    `Linux ${release().replace(/-.*/, '')}`,
  ]
  const lines = rows.map((row) => `| ${cells(row).join(' | ')} |`)
  return [
    HEAD,
    `Measured on ${date.toISOString().slice(0, 10)}: ${versions.join(', ')}.`,
    '',
    '| scenario | opened | raised | delivered | counted | neither | why not delivered |',
    '|---|--:|--:|--:|--:|--:|---|',
    ...lines,
    '',
    'To measure it again, as root on a kernel with BTF: `FALCO=/path/to/falco npm run falco`. The directory of the binary also holds',
    '`falco.yaml`, `rules/falco_rules.yaml`, `libcontainer.so` and `load`, a program that opens files at a rate.',
    '',
  ].join('\n')
}

function cells({ name, opened, raised, isCounted, delivered, counted, ...row }: Row): string[] {
  const neither = row.thrownAway + row.missing
  const whys = Object.entries(counted)
    .filter(([, count]) => count > 0)
    .map(([reason]) => COUNTED[reason as keyof typeof COUNTED])
  const total = Object.values(counted).reduce((sum, count) => sum + count, 0)
  if (row.loss && (neither > 0 || row.loss === 'ended')) whys.push(WHY[row.loss])
  const numbers = [opened, raised, delivered, total, neither].map((n) => n.toLocaleString('en'))
  if (!isCounted) numbers[1] = `≥ ${numbers[1]}`
  return [name, ...numbers, whys.join('; ')]
}
