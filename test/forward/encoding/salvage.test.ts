import { describe, expect, it } from 'vitest'
import { unglue } from '../../../src/forward/encoding/salvage.ts'

const ungluedTexts = (text: string) => {
  const bytes = Buffer.from(`ab${text}cd`)
  return unglue(bytes, 2, bytes.length - 2)?.map(({ start, end, found }) => [
    bytes.toString('utf8', start, end),
    typeof found === 'string' ? found : 'alert',
  ])
}

const ALERT = '{"priority":"Notice","rule":"r"}'

describe('unglue', () => {
  it.each([
    ['a fragment before it', `{"hostname":"a","outp${ALERT}`, ['{"hostname":"a","outp', ALERT]],
    ['a fragment that ends in an escape', `{"a":"x\\${ALERT}`, ['{"a":"x\\', ALERT]],
    ['a fragment that ends in a quote', `{"a":"${ALERT}`, ['{"a":"', ALERT]],
    ['text before it', `ok${ALERT}`, ['ok', ALERT]],
    ['two whole alerts', `${ALERT}${ALERT}`, [ALERT, ALERT]],
    ['two fragments before it', `{"a{"b":{${ALERT}`, ['{"a{"b":{', ALERT]],
    ['blanks around it', `{"a" ${ALERT} \t`, ['{"a"', ALERT]],
  ])('finds the alert with %s', (_, text, texts) => {
    expect(ungluedTexts(text)?.map(([piece]) => piece)).toEqual(texts)
  })

  it('is not misled by braces, quotes and backslashes in the values of the alert', () => {
    const alert =
      '{"output":"}{\\"}\\\\","f":{"a":{"b":"{{"}},"priority":"Notice","rule":"\\\\\\"{"}'
    expect(ungluedTexts(`{"x":"}}${alert}`)).toEqual([
      ['{"x":"}}', 'invalid_json'],
      [alert, 'alert'],
    ])
  })

  it('keeps an alert that something else than an alert follows', () => {
    expect(ungluedTexts(`${ALERT}{"x":1}`)).toEqual([
      [ALERT, 'alert'],
      ['{"x":1}', 'not_an_alert'],
    ])
  })

  it('tells once of many objects that are no alert', () => {
    expect(ungluedTexts(`{}{}{"x":1}${ALERT}{}{}`)).toEqual([
      ['{}{}{"x":1}', 'not_an_alert'],
      [ALERT, 'alert'],
      ['{}{}', 'not_an_alert'],
    ])
  })

  it.each([['hello'], ['hello}'], ['}}}'], ['{{{{'], ['log: {"a":1}'], ['{"a":"}'], ['']])(
    'finds nothing in %j',
    (text) => {
      expect(ungluedTexts(text)).toBeUndefined()
    },
  )

  it('stays linear in a line made of braces', () => {
    const bytes = Buffer.from('{"'.repeat(250_000) + '}'.repeat(500_000))
    const startedAt = performance.now()
    expect(unglue(bytes, 0, bytes.length)).toBeUndefined()
    // A quadratic search would take minutes.
    expect(performance.now() - startedAt).toBeLessThan(20_000)
  })
})
