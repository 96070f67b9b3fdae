// What a step declares: its parameters by its schema, its permissions by its rules.

import { z } from 'zod'
import type { PlannedStep } from '../../src/respond/playbook/playbook.ts'
import { rulesFor } from '../../src/respond/rbac.ts'
import type { Step } from '../../src/respond/steps/step.ts'

export interface JsonSchema {
  readonly [key: string]: unknown
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly description?: string
}

export const schemaOf = ({ params }: Step): JsonSchema =>
  z.toJSONSchema(params, { io: 'input', unrepresentable: 'any' }) as JsonSchema

export interface Parameter {
  readonly name: string
  /** For people: its default, or that it is required. */
  readonly note: string | undefined
}

export function parametersOf(step: Step): Parameter[] {
  const { properties = {}, required = [] } = schemaOf(step)
  return Object.entries(properties).map(([name, { default: preset, description }]) => ({
    name,
    note: description ?? (required.includes(name) ? 'required' : shown(preset)),
  }))
}

const shown = (preset: unknown) => (typeof preset === 'object' ? undefined : preset?.toString())

export interface Permissions {
  /** Each as `group resource verb`; the core group has no name. Looking at the target is among them. */
  readonly always: readonly string[]
  /** What a step needs beside, by the parameter that asks for it. Each parameter is tried by itself. */
  readonly given: Readonly<Record<string, readonly string[]>>
}

export function permissionsOf(step: Step): Permissions {
  const needs = (params: object) => permissionsWith(step, params)
  const always = needs({})
  const given = parametersOf(step).map(({ name }): [string, string[]] => [
    name,
    needs({ [name]: true }).filter((permission) => !always.includes(permission)),
  ])
  return { always, given: Object.fromEntries(given.filter(([, more]) => more.length > 0)) }
}

function permissionsWith(step: Step, params: object): string[] {
  const planned: PlannedStep = { step, params, timeoutMs: 0, continueOnError: false }
  const playbook = { name: '', on: [], match: {}, steps: [planned] }
  const limits = { concurrency: 1, maxDeliver: 1, coolDownMs: 0 }
  const plan = { dryRun: true, maxActionsPerMinute: 1, protectedNamespaces: [] }
  return rulesFor({ ...plan, playbooks: [{ ...playbook, ...limits }] }).flatMap(
    ({ apiGroups, resources, verbs }) =>
      verbs.map((verb) => [apiGroups[0], resources[0], verb].join(' ')),
  )
}
