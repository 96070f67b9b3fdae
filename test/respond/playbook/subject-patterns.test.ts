import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  areDisjoint,
  cover,
  covers,
  isOwn,
  overlap,
} from '../../../src/respond/playbook/subject-patterns.ts'

describe('covers, of a subject', () => {
  it.each([
    ['falco.notice.x', 'falco.notice.x', true],
    ['falco.*.x', 'falco.notice.x', true],
    ['falco.>', 'falco.notice.x', true],
    ['>', 'a', true],
    ['falco.>', 'falco', false],
    ['falco.*', 'falco', false],
    ['falco.*', 'falco.a.b', false],
    ['falco.a', 'falco.a.b', false],
    ['falco.a.b', 'falco.a', false],
    ['falco.a', 'falco.b', false],
    ['falco.a', 'FALCO.a', false],
  ])('%s and %s: %s', (pattern, subject, expected) => {
    expect(covers(pattern, subject)).toBe(expected)
  })
})

const pattern = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', '*'), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([tokens, open]) => [...tokens.slice(0, open ? 3 : 4), ...(open ? ['>'] : [])].join('.'))

/** All subjects of one to six of the tokens that the patterns above can have, and one more. */
const SUBJECTS = (() => {
  let level = ['']
  const all: string[] = []
  for (let length = 1; length <= 5; length++) {
    level = level.flatMap((head) =>
      ['a', 'b', 'c'].map((token) => (head ? `${head}.${token}` : token)),
    )
    all.push(...level)
  }
  return all
})()

describe('patterns together', () => {
  it.each([
    [['falco.a.b'], 'falco.a.b'],
    [['falco.a.b', 'falco.c.b'], 'falco.*.b'],
    [['falco.a.b', 'falco.critical.>'], 'falco.*.>'],
    [['falco.*.mine', 'falco.>'], 'falco.>'],
    [['falco.a', 'falco.a.b'], 'falco.>'],
    [['a', 'a.b'], '>'],
    [['a.b', 'c.d'], '*.*'],
    [['a.b.>', 'a.b.c.d'], 'a.b.>'],
    [[], '>'],
  ])('covers %j with %s', (patterns, expected) => {
    expect(cover(patterns)).toBe(expected)
  })

  it('agrees with what really matches', () => {
    fc.assert(
      fc.property(pattern, pattern, (a, b) => {
        const both = SUBJECTS.filter((subject) => covers(a, subject) && covers(b, subject))
        expect(overlap(a, b)).toBe(both.length > 0)
        expect(overlap(b, a)).toBe(overlap(a, b))
        const inA = SUBJECTS.filter((subject) => covers(a, subject))
        expect(covers(b, a)).toBe(inA.every((subject) => covers(b, subject)))
      }),
    )
  })

  it('covers all, and nothing narrower would', () => {
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 3 }), pattern, (patterns, other) => {
        const found = cover(patterns)
        for (const one of patterns) expect(covers(found, one)).toBe(true)
        if (patterns.every((one) => covers(other, one))) expect(covers(other, found)).toBe(true)
      }),
    )
  })
})

it('finds no subject that two patterns match', () => {
  expect(areDisjoint(['a.*', 'b.*', 'a.*.c'])).toBe(true)
  expect(areDisjoint(['a.*', 'b.*', '*.c'])).toBe(false)
  expect(areDisjoint([])).toBe(true)
})

it('knows what we publish ourselves', () => {
  expect(isOwn('falco.response.p.slack.ok')).toBe(true)
  expect(isOwn('falco.dead_letter.p')).toBe(true)
  expect(isOwn('falco.responses')).toBe(false)
})
