// What stands twice in this repository is generated from where it stands first. `npm run fix` writes it;
// test/house/generated.test.ts finds what is out of date.

import { readFileSync, writeFileSync } from 'node:fs'
import { envOfRespond, envOfSidecar, permissions, valuesSchema } from './generate/chart.ts'
import { readme } from './generate/readme.ts'

const ROOT = new URL('../', import.meta.url)
const CHART = 'deploy/helm/falco-nats'

export const readText = (file: string): string => readFileSync(new URL(file, ROOT), 'utf8')

export interface Target {
  readonly file: string
  /** Gives the text back as it is where nothing has changed. */
  generate(text: string): string
}

export const TARGETS: readonly Target[] = [
  { file: 'README.md', generate: readme },
  { file: `${CHART}/values.schema.json`, generate: valuesSchema },
  { file: `${CHART}/templates/_helpers.tpl`, generate: envOfSidecar },
  {
    file: `${CHART}/templates/_respond.tpl`,
    generate: (text) => permissions(envOfRespond(text)),
  },
  // Helm reads no file outside of its chart.
  {
    file: `${CHART}/files/dashboard.json`,
    generate: () => readText('deploy/grafana/falco-nats.json'),
  },
  { file: `${CHART}/files/rules.yaml`, generate: () => readText('deploy/prometheus/rules.yaml') },
]

if (import.meta.main)
  for (const { file, generate } of TARGETS) {
    const before = readText(file)
    const text = generate(before)
    if (text !== before) writeFileSync(new URL(file, ROOT), text)
  }
