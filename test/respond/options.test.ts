import { expect, it } from 'vitest'
import { BETWEEN, RESPOND_OPTIONS } from '../../src/respond/options.ts'
import { NATS_OPTIONS } from '../../src/shared/nats/options.ts'
import { COMMON_OPTIONS } from '../../src/shared/options/common.ts'

it('has the options that it shares with the forwarder, under the same names', () => {
  for (const key of Object.keys({ ...NATS_OPTIONS, ...COMMON_OPTIONS }))
    expect(RESPOND_OPTIONS).toHaveProperty(key)
})

it('reads subjects and parameters', () => {
  expect(RESPOND_OPTIONS.subject.parse(' a.> ,b')).toEqual(['a.>', 'b'])
  const { env } = RESPOND_OPTIONS
  expect(env.parse(`a=1${BETWEEN}b=x=y`)).toEqual([
    ['a', '1'],
    ['b', 'x=y'],
  ])
  for (const bad of ['', 'a', '=1', `a=1${BETWEEN}`])
    expect(() => env.parse(bad)).toThrow('allowed: key=value')
})

it('takes a prefix only that gives names of consumers', () => {
  const { durable } = RESPOND_OPTIONS
  expect(durable.parse(durable.default)).toBe('falco-respond')
  for (const bad of ['', 'a.b', 'a b', 'a>', 'x'.repeat(65)])
    expect(() => durable.parse(bad)).toThrow('allowed: 1 to 64 letters')
})
