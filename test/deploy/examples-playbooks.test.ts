// The playbooks of deploy/examples/respond: those of the README's walk-through.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { run } from '../../deploy/examples/respond/my-playbook.ts'
import { PLAYBOOKS } from '../support/respond-deploy.ts'

describe('the examples', () => {
  it('are those of the walk-through, without a word on whether they act', () => {
    const steps = PLAYBOOKS.map(([file, { playbooks, ...rest }]) => {
      expect(rest).toEqual({})
      return [file, playbooks[0].steps.map((step: object) => Object.keys(step)[0])]
    })
    expect(Object.fromEntries(steps)).toEqual({
      'shell-delete-pod.yaml': ['delete-pod'],
      'error-slack.yaml': ['slack'],
      'api-server-contact-taint.yaml': ['taint-node'],
      'critical-contain.yaml': ['isolate-pod', 'capture-logs', 'webhook'],
      'own-module.yaml': ['module'],
      'capture-job.yaml': ['run-job'],
    })
  })

  it('have a module that does what it says', async () => {
    const posted: unknown[] = []
    let status = 200
    const server = createServer(async (request, response) => {
      posted.push([request.headers['idempotency-key'], JSON.parse(await text(request))])
      response.writeHead(status).end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
      const { signal } = new AbortController()
      const context = { id: 'one', with: { url }, dryRun: false, signal }
      const alert = { rule: 'Shell', output_fields: { 'user.name': 'ada' } }
      expect(await run(alert, { ...context, dryRun: true })).toBe('would tell of ada')
      const nobody = { rule: 'Shell', output_fields: { 'user.name': null } }
      expect(await run(nobody, context)).toEqual({ skipped: 'the alert names no user' })
      expect(posted).toEqual([])
      expect(await run(alert, context)).toBe('told of ada')
      expect(posted).toEqual([['one', { user: 'ada', rule: 'Shell' }]])
      status = 503
      await expect(run(alert, context)).rejects.toThrow('answered 503')
    } finally {
      server.close()
    }
  })
})
