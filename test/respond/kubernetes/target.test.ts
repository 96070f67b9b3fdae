import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { containerIdOf, nodeOf, podOf } from '../../../src/respond/kubernetes/target.ts'
import type { Alert } from '../../../src/shared/alert/alert.ts'

const alertWith = (fields: unknown, more: object = {}): Alert => ({
  priority: 'Notice',
  rule: 'a rule',
  source: 'syscall',
  output_fields: fields,
  ...more,
})
const NOT_THERE = [undefined, null, '', '<NA>', 'N/A', 7, true, ['web'], { name: 'web' }]
const NO_NAMES = [
  'Web',
  'web_1',
  '-web',
  'web-',
  '../web',
  'a/b',
  'web\n',
  'wéb',
  'a..b',
  'a'.repeat(254),
]

describe('podOf', () => {
  it('knows both families', () => {
    expect(podOf(alertWith({ 'k8s.ns.name': 'shop', 'k8s.pod.name': 'web-0' }))).toEqual({
      namespace: 'shop',
      name: 'web-0',
    })
    expect(
      podOf(alertWith({ 'ka.target.namespace': 'shop', 'ka.target.pod.name': 'web.1' })),
    ).toEqual({ namespace: 'shop', name: 'web.1' })
    const audit = { 'ka.target.namespace': 'shop', 'ka.target.name': 'web-2' }
    expect(podOf(alertWith({ ...audit, 'ka.target.resource': 'pods' }))).toEqual({
      namespace: 'shop',
      name: 'web-2',
    })
    expect(podOf(alertWith({ ...audit, 'ka.target.resource': 'secrets' }))).toBeUndefined()
    expect(podOf(alertWith(audit))).toBeUndefined()
  })

  it('prefers the system call, and the more exact of the audit log', () => {
    const all = {
      'k8s.ns.name': 'a',
      'k8s.pod.name': 'one',
      'ka.target.namespace': 'b',
      'ka.target.pod.name': 'two',
      'ka.target.name': 'three',
      'ka.target.resource': 'pods',
    }
    expect(podOf(alertWith(all))).toEqual({ namespace: 'a', name: 'one' })
    expect(podOf(alertWith({ ...all, 'k8s.pod.name': null }))).toEqual({
      namespace: 'b',
      name: 'two',
    })
    expect(podOf(alertWith({ ...all, 'k8s.ns.name': null, 'ka.target.pod.name': null }))).toEqual({
      namespace: 'b',
      name: 'three',
    })
  })

  it('never mixes families', () => {
    expect(podOf(alertWith({ 'k8s.ns.name': 'a', 'ka.target.pod.name': 'two' }))).toBeUndefined()
    expect(podOf(alertWith({ 'ka.target.namespace': 'b', 'k8s.pod.name': 'one' }))).toBeUndefined()
  })

  it.each([...NOT_THERE, ...NO_NAMES])('takes %j for no answer', (value) => {
    expect(podOf(alertWith({ 'k8s.ns.name': 'shop', 'k8s.pod.name': value }))).toBeUndefined()
    expect(podOf(alertWith({ 'k8s.ns.name': value, 'k8s.pod.name': 'web' }))).toBeUndefined()
  })

  it.each([undefined, null, 'text', 7, []])('takes %j for no fields', (fields) => {
    expect(podOf(alertWith(fields))).toBeUndefined()
  })

  it('gives only names that Kubernetes takes, whatever the alert says', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9./-]{1,6}$/))
    fc.assert(
      fc.property(text, text, (namespace, name) => {
        const pod = podOf(alertWith({ 'k8s.ns.name': namespace, 'k8s.pod.name': name }))
        if (!pod) return
        expect(pod).toEqual({ namespace, name })
        expect(namespace).toMatch(/^[a-z0-9-]+$/)
        expect(name).toMatch(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/)
      }),
    )
  })
})

describe('nodeOf', () => {
  it('believes the field, then the host of a system call', () => {
    expect(nodeOf(alertWith({ 'k8s.node.name': 'n1' }, { hostname: 'n2' }))).toBe('n1')
    expect(nodeOf(alertWith({}, { hostname: 'n2.example.org' }))).toBe('n2.example.org')
    expect(nodeOf(alertWith({}, { hostname: 'n2', source: undefined }))).toBe('n2')
  })

  it('does not take the host of an audit event that names no source for a node', () => {
    const audit = { 'ka.verb': 'create', 'ka.target.name': 'web' }
    expect(nodeOf(alertWith(audit, { hostname: 'n2', source: undefined }))).toBeUndefined()
    expect(nodeOf(alertWith({ 'proc.name': 'sh' }, { hostname: 'n2', source: null }))).toBe('n2')
  })

  it.each(['k8s_audit', 'aws_cloudtrail', 'okta', 'internal'])(
    'does not take the host of %s for a node',
    (source) => {
      expect(nodeOf(alertWith({}, { hostname: 'collector', source }))).toBeUndefined()
      expect(nodeOf(alertWith({ 'k8s.node.name': 'n1' }, { hostname: 'c', source }))).toBe('n1')
    },
  )

  it.each([...NOT_THERE, ...NO_NAMES])('takes %j for no answer', (value) => {
    expect(nodeOf(alertWith({}, { hostname: value }))).toBeUndefined()
    if (typeof value === 'string' && NO_NAMES.includes(value))
      expect(nodeOf(alertWith({ 'k8s.node.name': value }, { hostname: 'n2' }))).toBeUndefined()
    else expect(nodeOf(alertWith({ 'k8s.node.name': value }, { hostname: 'n2' }))).toBe('n2')
  })
})

describe('containerIdOf', () => {
  it('knows containers from the host', () => {
    expect(containerIdOf(alertWith({ 'container.id': 'a1b2c3d4e5f6' }))).toBe('a1b2c3d4e5f6')
    expect(containerIdOf(alertWith({ 'container.id': 'host' }))).toBeUndefined()
  })

  it.each(NOT_THERE)('takes %j for no answer', (value) => {
    expect(containerIdOf(alertWith({ 'container.id': value }))).toBeUndefined()
  })
})
