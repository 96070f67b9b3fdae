import { expect, it } from 'vitest'
import { failure, one, oneStep, read } from '../../support/plan.ts'

it('follows anchors', () => {
  const plan = read(`
playbooks:
- { name: a, on: &on [x], steps: [{ slack: &s { webhookUrlFile: f } }] }
- { name: b, on: *on, steps: [{ slack: *s }] }
`)
  expect(plan.playbooks[1]).toMatchObject({
    on: ['x'],
    steps: [{ params: { webhookUrlFile: 'f' } }],
  })
})

it.each([
  [oneStep('{ __proto__: {} }'), /^5:15: __proto__: allowed for a key: any other text$/],
  [
    one('match: { output_fields: { __proto__: x } }'),
    /__proto__: allowed for a key: any other text$/,
  ],
  ['a: [1', /^1:6: Flow sequence/],
  ['a: 1\na: 2', /^2:1: Map keys must be unique$/],
  ['a: *b', /Unresolved alias/],
  ['a: !!js/function x', /Unresolved tag/],
  ['--- 1\n--- 2', /^2:1: Source contains multiple documents/],
  ['? [a]\n: b', /^1:3: allowed for a key: text/],
  ['\tplaybooks: x', /^1:1: /],
  ['a: &a [*a]', /nested more than 64 deep/],
  [`a: ${'['.repeat(100)}${']'.repeat(100)}`, /nested more than 64 deep/],
  ['\x00\u202e: \u0007: x', /^1:/],
])('refuses the YAML %j', (text, why) => {
  expect(failure(text)).toMatch(why)
})

it('refuses what is nested without end', () => {
  expect(failure(`a: ${'['.repeat(20_000)}${']'.repeat(20_000)}`)).toMatch(/^1:\d+: .*stack/)
})

it('refuses an alias bomb at once', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
  for (let n = 1; n < 12; n++)
    lines.push(
      `a${n}: &a${n} [${Array(9)
        .fill(`*a${n - 1}`)
        .join(', ')}]`,
    )
  // It would take days to resolve.
  const start = performance.now()
  expect(failure(lines.join('\n'))).toMatch(/^1:1: Excessive alias count/)
  expect(performance.now() - start).toBeLessThan(20_000)
})
