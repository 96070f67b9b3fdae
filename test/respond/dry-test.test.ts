// --test, where there is no cluster.

import { writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { dryTest } from '../../src/respond/dry-test.ts'
import type { Playbook } from '../../src/respond/playbook/playbook.ts'
import { UsageError } from '../../src/shared/errors.ts'
import type { Output } from '../../src/shared/process/output.ts'
import { fakeStep, planOf, playbookOf } from '../support/engine.ts'
import { numberedAlert } from '../support/fixtures.ts'
import { type TempDir, tempDir } from '../support/temp.ts'

let dir: TempDir
beforeEach(() => {
  dir = tempDir()
  vi.stubEnv('KUBECONFIG', dir.file('none'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  dir[Symbol.dispose]()
})

async function tried(playbooks: Playbook[], alert = numberedAlert(1)) {
  writeFileSync(dir.file('alert.json'), alert)
  const texts: string[] = []
  const output = { write: (text: string) => texts.push(text) > 0 } as unknown as Output
  const code = await dryTest(dir.file('alert.json'), planOf(playbooks), output)
  return { code, lines: texts.join('').trimEnd().split('\n') }
}

it('prints what would be done, dry, and names what needs a cluster', async () => {
  const call = fakeStep(({ dryRun }) => ({ outcome: 'dry_run', detail: `dry: ${dryRun}\u001b` }), {
    name: 'call',
  })
  const kill = fakeStep(() => 'killed', { name: 'kill', target: 'pod' })
  const other = playbookOf([call], { name: 'other', match: { rule: ['Another'] } })
  expect(await tried([playbookOf([kill, call], { coolDownMs: 1_000 }), other])).toEqual({
    code: 0,
    lines: [
      'alert: Terminal shell in container (notice), on falco.notice.terminal_shell_in_container',
      expect.stringMatching(/^no cluster: not looked at \(.*kubeconfig/),
      'test: acts',
      '  would kill: no cluster: not looked at',
      '  would call: dry: true\\u{1b}',
      expect.stringMatching(/^other: does not act: rule is "Terminal shell/),
    ],
  })
})

it('goes on after a step that fails, and ends with 1', async () => {
  const fails = fakeStep(({ cluster }) => void cluster(), { name: 'fails' })
  const { code, lines } = await tried([playbookOf([fails, fakeStep(() => 'done')])])
  expect(code).toBe(1)
  expect(lines.slice(-2)).toEqual([
    expect.stringMatching(/^ {2}FAIL {2}fails: /),
    '  ok    fake: done',
  ])
})

it('takes one alert only', async () => {
  await expect(tried([], '{}')).rejects.toThrow(UsageError)
  await expect(dryTest(dir.file('none'), planOf([]), {} as Output)).rejects.toThrow(
    /^--test ".*none": .*; allowed: a file with one alert as JSON$/,
  )
})
