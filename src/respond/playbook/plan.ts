// The playbooks that the options name, from a file or the command line: checked, or one line with what is wrong where.

import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { isScalar, parseDocument } from 'yaml'
import { messageOf, printable, quoted, UsageError } from '../../shared/errors.ts'
import { ownNamespace } from '../kubernetes/names.ts'
import { STEPS } from '../steps/index.ts'
import type { Step } from '../steps/step.ts'
import { type Plan, type PlannedStep, planSchema, stepSchema } from './playbook.ts'
import { type Checked, check } from './schema-errors.ts'
import { type Path, readYaml, type YamlFile } from './yaml.ts'

const STEP_NAMES = [...STEPS.keys()].join(', ')
const COMMON_KEYS: readonly string[] = Object.keys(stepSchema.in.shape)

/** Of `-e`. */
type Parameters = readonly (readonly [key: string, text: string])[]

/** Of the options of `falco-nats respond`, those that make the plan. */
interface PlanSource {
  readonly config: string | undefined
  readonly playbook: string | undefined
  readonly subject: readonly string[] | undefined
  readonly env: Parameters | undefined
  readonly act: boolean
  readonly dryRun: boolean
  readonly test: string | undefined
}

/** Dry with --dry-run and --test in any case. Throws a UsageError. */
export function loadPlan(source: PlanSource): Plan {
  const { config: file, playbook, subject = [], env = [], act, dryRun, test } = source
  const plan =
    playbook === undefined
      ? readPlan(textOf(file!), file!)
      : singlePlan(playbook, subject, env, act)
  return dryRun || test !== undefined ? { ...plan, dryRun: true } : plan
}

/** The plan, with the namespace that we run in among the protected ones. */
export function protectOurselves(plan: Plan): Plan {
  const own = ownNamespace() ?? []
  return { ...plan, protectedNamespaces: [...new Set(plan.protectedNamespaces.concat(own))] }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const why = `${messageOf(error)}; allowed: a file that we may read`
    throw new UsageError(`--config ${quoted(file)}: ${why}`)
  }
}

/** Throws a UsageError: `file:line:column: path: what is wrong; what is allowed`. */
export function readPlan(text: string, file: string): Plan {
  const yaml = readYaml(text, file)
  const value = accepted(check(planSchema, yaml.value), [], yaml)
  const names = value.playbooks.map(({ name }) => name)
  for (const [index, name] of names.entries())
    if (names.indexOf(name) < index)
      throw yaml.error(
        ['playbooks', index, 'name'],
        `playbooks[${names.indexOf(name)}] has this name; allowed: a name of its own`,
      )
  const playbooks = value.playbooks.map((playbook, index) => ({
    ...playbook,
    steps: playbook.steps.map((item, at) =>
      planStep(item, ['playbooks', index, 'steps', at], yaml, file),
    ),
  }))
  return { ...value, playbooks }
}

/** One playbook of one step, named like it. Dry unless `act`. Throws a UsageError that names the option. */
export function singlePlan(
  stepName: string,
  subjects: readonly string[],
  parameters: Parameters,
  act: boolean,
): Plan {
  const step = STEPS.get(stepName)
  if (!step)
    throw new UsageError(`--playbook ${quoted(stepName)}: unknown step; allowed: ${STEP_NAMES}`)
  const params = singleParams(step, parameters)
  const playbook = { name: stepName, on: subjects, steps: [{}] }
  const checked = check(planSchema, { dryRun: !act, playbooks: [playbook] })
  // All else is ours.
  if (!checked.ok) throw new UsageError(`--subject ${quoted(subjects.join())}: ${checked.reason}`)
  const steps = [{ step, params, ...stepSchema.parse({}) }]
  return { ...checked.value, playbooks: checked.value.playbooks.map((one) => ({ ...one, steps })) }
}

/** `{ slack: {…}, timeout: 5s }`: one key is a step, the others are of all steps. */
function planStep(item: unknown, path: Path, yaml: YamlFile, file: string): PlannedStep {
  const keys =
    typeof item === 'object' && item !== null && !Array.isArray(item) ? Object.keys(item) : []
  const [name, second] = keys.filter((key) => STEPS.has(key))
  const allowed = name === 'module' ? [...COMMON_KEYS, 'with'] : COMMON_KEYS
  const stray = keys.find((key) => !STEPS.has(key) && !allowed.includes(key))
  if (stray !== undefined && name !== undefined)
    throw yaml.error([...path, stray], `unknown; allowed: ${name}, ${allowed.join(', ')}`, 'key')
  if (stray !== undefined)
    throw yaml.error([...path, stray], `unknown step; allowed: ${STEP_NAMES}`, 'key')
  if (name === undefined)
    throw yaml.error(path, `no step; allowed: a map with one of ${STEP_NAMES}`)
  if (second !== undefined)
    throw yaml.error([...path, second], `${name} is given too; allowed: one step in each`, 'key')
  const { [name]: own, with: given, ...common } = item as Record<string, unknown>
  const planned = accepted(check(stepSchema, common), path, yaml)
  const step = STEPS.get(name)!
  const withParams = (whole: unknown, at: Path) => ({
    step,
    params: accepted(check(step.params, whole), at, yaml),
    ...planned,
  })
  if (name !== 'module') return withParams(own ?? {}, [...path, name])
  if (typeof own !== 'string' || own === '')
    throw yaml.error([...path, name], 'allowed: the path of a module, such as ./mine.ts')
  // Of what is checked, only `with` can be wrong, and it stands beside the step.
  return withParams({ path: resolve(dirname(file), own), with: given }, path)
}

function accepted<T>(checked: Checked<T>, path: Path, yaml: YamlFile): T {
  if (checked.ok) return checked.value
  throw yaml.error([...path, ...checked.path], checked.reason, checked.place)
}

function singleParams(step: Step, parameters: Parameters): unknown {
  const texts = new Map<PropertyKey, string>()
  for (const [key, text] of parameters) {
    if (texts.has(key)) throw new UsageError(`-e ${printable(key)}: given twice; allowed: once`)
    texts.set(key, text)
  }
  const given = Object.fromEntries(parameters.map(([key, text]) => [key, scalarOf(text)]))
  if (step.name === 'module' && texts.has('path')) given.path = resolve(texts.get('path')!)
  for (;;) {
    const checked = check(step.params, given)
    if (checked.ok) return checked.value
    const { path, reason } = checked
    const text = path.length === 1 ? texts.get(path[0]!) : undefined
    // `value=true` where text is wanted is that text.
    if (text === undefined || given[String(path[0])] === text)
      throw new UsageError(printable(`${['-e', ...path].map(String).join(' ')}: ${reason}`))
    given[String(path[0])] = text
  }
}

/** As YAML has it where it is a number, a truth value or in quotes; else the text as it is. */
function scalarOf(text: string): unknown {
  const { contents, errors, warnings, comment } = parseDocument(text, { prettyErrors: false })
  if (errors.length + warnings.length > 0 || comment || !isScalar(contents)) return text
  return typeof contents.value === 'string' && contents.type === 'PLAIN' ? text : contents.value
}
