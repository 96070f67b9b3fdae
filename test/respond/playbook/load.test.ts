import { writeFileSync } from 'node:fs'
import { afterEach, expect, it, vi } from 'vitest'
import { parseRespond } from '../../../src/respond/command-line.ts'
import { loadPlan, protectOurselves } from '../../../src/respond/playbook/load.ts'
import { UsageError } from '../../../src/shared/errors.ts'
import { tempDir } from '../../support/temp.ts'

afterEach(() => void vi.unstubAllEnvs())

function planOf(...argv: string[]) {
  const invocation = parseRespond(argv, {})
  if (invocation.run === 'print') throw new Error(invocation.text)
  return loadPlan(invocation.config)
}

it('reads the file, and is dry where the file or the option says so', () => {
  using dir = tempDir()
  const file = dir.file('p.yaml')
  const playbooks = 'playbooks: [{ name: p, on: x, steps: [{ module: ./m.ts }] }]'
  writeFileSync(file, playbooks)
  expect(planOf('--config', file)).toMatchObject({
    dryRun: true,
    playbooks: [{ steps: [{ params: { path: dir.file('m.ts') } }] }],
  })
  writeFileSync(file, `dryRun: false\n${playbooks}`)
  expect(planOf('--config', file).dryRun).toBe(false)
  expect(planOf('--config', file, '--dry-run').dryRun).toBe(true)
  expect(planOf('--config', file, '--test', 'a.json').dryRun).toBe(true)
})

it('makes one playbook of the command line', () => {
  const argv = ['-p', 'slack', '-s', 'a,b.>', '-e', 'webhookUrlFile=/f']
  expect(planOf(...argv)).toMatchObject({
    dryRun: true,
    playbooks: [{ name: 'slack', on: ['a', 'b.>'], steps: [{ params: { webhookUrlFile: '/f' } }] }],
  })
  expect(planOf(...argv, '--act').dryRun).toBe(false)
})

it('says in one line which file cannot be used', () => {
  using dir = tempDir()
  for (const [file, why] of [
    [dir.file('none\n.yaml'), /^--config ".*none\\n\.yaml": ENOENT.*; allowed: a file that we may/],
    [dir.path, /EISDIR/],
  ] as const) {
    expect(() => planOf('--config', file)).toThrow(UsageError)
    expect(() => planOf('--config', file)).toThrow(why)
    expect(() => planOf('--config', file)).not.toThrow(/\n/)
  }
})

it('protects the namespace that we run in, once', () => {
  const plan = planOf('-p', 'delete-pod', '-s', 'a')
  const protectedWhen = (own: string | undefined) => {
    vi.stubEnv('POD_NAMESPACE', own)
    return protectOurselves(plan).protectedNamespaces
  }
  expect(protectedWhen('ours')).toEqual([...plan.protectedNamespaces, 'ours'])
  expect(protectedWhen('falco')).toEqual(plan.protectedNamespaces)
  expect(protectedWhen(undefined)).toEqual(plan.protectedNamespaces)
})
