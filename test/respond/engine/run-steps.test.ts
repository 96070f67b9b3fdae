// Steps one after the other: those that fail, hang, or must not be repeated.

import { afterAll, beforeAll, expect, it } from 'vitest'
import { StepError } from '../../../src/respond/steps/step.ts'
import { arrivalOf, fakeStep, planned, playbookOf, withEngine } from '../../support/engine.ts'
import { type NatsServer, startNats } from '../../support/nats.ts'

let server: NatsServer
beforeAll(async () => {
  server = await startNats()
})
afterAll(() => server[Symbol.asyncDispose]())

const DONE = { kind: 'done', matched: true }

it.each([
  ['a StepError that may pass', new StepError('away', { retryable: true }), 'retry'],
  ['a StepError that may not', new StepError('never', { retryable: false }), 'giveUp'],
  ['an unknown error', new TypeError('oh'), 'retry'],
])('stops at %s', async (_what, error, kind) => {
  const failing = fakeStep(() => Promise.reject(error), { name: 'bad' })
  const next = fakeStep(() => 'done', { name: 'next' })
  const playbook = playbookOf([failing, next])
  await withEngine(server.url, playbook, async ({ runner, reported }) => {
    const result = await runner.handle(playbook, arrivalOf())
    expect(result).toEqual({ kind, reason: `bad: ${error.message}` })
    expect(reported.map(({ step, outcome }) => [step, outcome])).toEqual([['bad', 'failed']])
  })
  const going = playbookOf([planned(failing, { continueOnError: true }), next])
  await withEngine(server.url, going, async ({ runner, reported }) => {
    expect(await runner.handle(going, arrivalOf())).toEqual(DONE)
    expect(reported.map(({ outcome }) => outcome)).toEqual(['failed', 'ok'])
  })
})

it('does not do twice what must not be repeated', async () => {
  const ran: string[] = []
  let broken = true
  const playbook = playbookOf([
    fakeStep(() => void ran.push('message'), { name: 'message', repeatable: false }),
    fakeStep(() => void ran.push('label'), { name: 'label' }),
    fakeStep(() => (broken ? Promise.reject(new Error('away')) : 'ok'), { name: 'call' }),
  ])
  await withEngine(server.url, playbook, async ({ runner, reported }) => {
    expect(await runner.handle(playbook, arrivalOf())).toMatchObject({ kind: 'retry' })
    broken = false
    reported.length = 0
    expect(await runner.handle(playbook, arrivalOf(1, 2))).toEqual(DONE)
    expect(ran).toEqual(['message', 'label', 'label'])
    expect(reported.map(({ step, delivery }) => [step, delivery])).toEqual([
      ['label', 2],
      ['call', 2],
    ])
    // Another alert is another matter.
    expect(await runner.handle(playbook, arrivalOf(2))).toEqual(DONE)
    expect(ran.filter((what) => what === 'message')).toHaveLength(2)
  })
})

it('leaves behind a step that does not heed its signal', async () => {
  let aborted = false
  const hanging = fakeStep(({ signal }) => {
    signal.addEventListener('abort', () => {
      aborted = true
    })
    return new Promise(() => {})
  })
  const playbook = playbookOf([planned(hanging, { timeoutMs: 50 })])
  await withEngine(server.url, playbook, async ({ runner }) => {
    const reason = 'fake: took longer than its timeout of 0.05 s'
    expect(await runner.handle(playbook, arrivalOf())).toEqual({ kind: 'retry', reason })
    expect(aborted).toBe(true)
  })
})

it('gives up what runs when it is asked to end at once', async () => {
  const playbook = playbookOf([fakeStep(() => new Promise(() => {}))])
  await withEngine(server.url, playbook, async ({ runner, abandon }) => {
    const result = runner.handle(playbook, arrivalOf())
    abandon.abort()
    const reason = 'fake: given up: asked to end at once'
    expect(await result).toEqual({ kind: 'retry', reason })
  })
})

it('gives back what it is asked to end, also where the step may fail', async () => {
  const run = fakeStep(() => new Promise<never>(() => {}), { name: 'endless' })
  const playbook = playbookOf([planned(run, { continueOnError: true })])
  await withEngine(server.url, playbook, async ({ runner, abandon }) => {
    const handled = runner.handle(playbook, arrivalOf())
    abandon.abort()
    expect(await handled).toMatchObject({
      kind: 'retry',
      reason: expect.stringContaining('asked to end at once'),
    })
  })
})
