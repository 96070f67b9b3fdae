import { expect, it } from 'vitest'
import { z } from 'zod'
import { check } from '../../../src/respond/playbook/schema-errors.ts'

const schema = z.strictObject({
  text: z.string().max(3).optional(),
  list: z.array(z.int()).max(1).optional(),
  map: z.record(z.string().regex(/^a/, 'must begin with a'), z.boolean()).optional(),
  either: z.union([z.strictObject({ a: z.int() }), z.literal('none')]).optional(),
  inner: z.strictObject({}).optional(),
})

it.each<[object, (string | number)[], 'key' | 'value', string]>([
  [{ text: 'four' }, ['text'], 'value', 'text is given; allowed: at most 3 characters'],
  [{ text: true }, ['text'], 'value', 'true is given; allowed: text'],
  [{ list: [1, 2] }, ['list'], 'value', 'a list is given; allowed: at most 1 elements'],
  [{ list: [{}] }, ['list', 0], 'value', 'a map is given; allowed: a number'],
  [{ map: { b: true } }, ['map', 'b'], 'key', 'must begin with a'],
  // The alternative that came furthest.
  [{ either: { a: 'x' } }, ['either'], 'value', 'text is given; allowed: a number'],
  // Before what is wrong elsewhere.
  [{ text: 7, inner: { x: 1 } }, ['inner', 'x'], 'key', 'unknown; allowed: nothing'],
  [{ texts: 'a', text: 7 }, ['texts'], 'key', 'unknown; allowed: text, list, map, either, inner'],
])('of %j, points at %j', (value, path, place, reason) => {
  expect(check(schema, value)).toEqual({ ok: false, path, place, reason })
})

it('gives the value, with defaults', () => {
  const withDefault = z.strictObject({ a: z.int().default(1) })
  expect(check(withDefault, {})).toEqual({ ok: true, value: { a: 1 } })
})
