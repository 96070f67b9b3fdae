import { expect, it } from 'vitest'
import { messageOf, printable, traceOf } from '../../src/shared/errors.ts'

it('shows the cause behind an error once', () => {
  const cause = new Error('connect ECONNREFUSED')
  expect(messageOf(new Error('refused', { cause }))).toBe('refused (connect ECONNREFUSED)')
  expect(messageOf(new Error('refused: connect ECONNREFUSED', { cause }))).toBe(
    'refused: connect ECONNREFUSED',
  )
  expect(messageOf('just text')).toBe('just text')
})

it('shows where an error comes from', () => {
  expect(traceOf(new TypeError('no such thing'))).toMatch(
    /^no such thing, at .*errors\.test\.ts:\d+/,
  )
  expect(traceOf('just text')).toBe('just text')
  expect(traceOf(undefined)).toBe('undefined')
})

it('lets no control character, line break or bidirectional override through', () => {
  expect(printable('a\x1b[31mb\nc\u202ed\u009be🦅')).toBe(
    'a\\u{1b}[31mb\\u{a}c\\u{202e}d\\u{9b}e\\u{1f985}',
  )
  expect(messageOf(new Error('two\nlines'))).toBe('two\\u{a}lines')
})
