// What the tests of deployments share: the chart with every value set, and an API server that judges manifests.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { parse } from 'yaml'
import { type Part, plainOptions } from '../../deploy/generate/chart.ts'
import { envName } from '../../src/shared/options/table.ts'
import { fixturePath } from './fixtures.ts'
import { assembled, DEPLOY, FALCO_CHARTS, helm, home, type Manifest } from './helm.ts'
import type { Kubernetes } from './kubernetes.ts'
import { OPTION_TEXTS } from './options.ts'

export const CHART = join(DEPLOY, 'helm/falco-nats')
/** Over the official Falco chart, where it is at hand. */
export const chart = () => assembled(FALCO_CHARTS.at(-1)!)

export const readText = (path: string) => readFileSync(path, 'utf8')

const within = (part: Part, values: Manifest) =>
  part === 'respond' ? { respond: values } : { falco: { natsOutput: values } }

/** The options that are values of the same name, and the fixture's values over them. `args` are helm's. */
export function everyValue(part: Part, fixture: string) {
  const texts = plainOptions(part).filter(({ key }) => key in OPTION_TEXTS)
  const options = Object.fromEntries(texts.map(({ key }) => [key, parse(OPTION_TEXTS[key]!)]))
  const file = home.file(`${part}.json`)
  writeFileSync(file, JSON.stringify(within(part, options)))
  const { falco, respond } = parse(readText(fixturePath(fixture)))
  const values: Manifest = { ...options, ...(part === 'respond' ? respond : falco.natsOutput) }
  return { values, args: ['-f', file, '-f', fixturePath(fixture)] }
}

const variablesOf = (part: Part) =>
  plainOptions(part).map(({ key }) => [key, envName(key)] as const)

/** The environment that these values should give, but for what is no option of the same name. */
export const optionEnv = (part: Part, values: Manifest): Manifest[] =>
  variablesOf(part).flatMap(([key, name]) =>
    values[key] === '' ? [] : [{ name, value: String(values[key]) }],
  )

/** For snapshots, so that a new option is not one more line there. */
export function withoutOptions(part: Part, manifests: readonly Manifest[]): Manifest[] {
  const names = new Set(variablesOf(part).map(([, name]) => name))
  return JSON.parse(JSON.stringify(manifests), (key, value) =>
    key === 'env' ? value.filter(({ name }: Manifest) => !names.has(name)) : value,
  )
}

/** Prints what the server does not know, since its CRD is not here, and has it judge the rest. */
export function takes(kubernetes: Kubernetes, manifests: readonly Manifest[], min: number): number {
  const known = manifests.filter((manifest) => kubernetes.knows(manifest))
  for (const { kind } of manifests.filter((manifest) => !known.includes(manifest)))
    console.info(`skipped: ${kind}, since no directory of KUBE_CRDS defines it`)
  expect(known.length).toBeGreaterThanOrEqual(min)
  if (known.length > 0) kubernetes.dryRun(known)
  return known.length
}

/** What helm prints after it has tried to install the chart. */
export function installNotes(program: string, { kubeconfig }: Kubernetes, args: string[]): string {
  const flags = ['--kubeconfig', kubeconfig, '-n', 'falco', '--dry-run=server']
  return helm(program, 'install', 'falco', chart(), ...flags, ...args).split('NOTES:')[1]!
}
