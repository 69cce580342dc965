import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serve } from '@s4s/node'
import { createInbox } from '@s4s/node/inbox'
import { startSandbox } from '@s4s/sandbox'
import { readArguments } from './arguments.js'
import { walk } from './road.js'
import { createScreen } from './screen.js'

const options = readArguments(process.argv.slice(2))
// With --json the one line of JSON is all that goes to standard output.
const screen = createScreen(options.json ? process.stderr : process.stdout)

const folder = await mkdtemp(join(tmpdir(), 's4s-demo-'))
const hospitals = options.data
  ? [{ id: 'folder', name: 'Hospital of the folder', data: options.data }]
  : [
      { id: 'mercy', name: 'Mercy Hospital', seed: 1 },
      { id: 'lakeside', name: 'Lakeside Clinic', seed: 2 },
    ]
// One person who is known at both hospitals; of a folder, its first patient.
const patient = options.patient ?? (options.data === undefined ? 'daniel' : undefined)
const sandboxes = await Promise.all(hospitals.map((hospital) => startSandbox(hospital)))
const inbox = createInbox({
  folder,
  studies: [{ id: 'sleep-2026', key: 'demo-study-key', teamKey: 'demo-team-key' }],
})
const inboxServer = await serve(inbox.handler)

try {
  const summary = await walk({
    sandboxes,
    inbox,
    inboxUrl: inboxServer.url,
    studyKey: 'demo-study-key',
    screen,
    ...(patient === undefined ? {} : { patient }),
  })
  screen.line('\nThe same in a browser: npm start')
  if (options.json) process.stdout.write(`${JSON.stringify(summary)}\n`)
  process.exitCode = summary.ok ? 0 : 1
} catch (error) {
  screen.line(`\nThe demo stopped: ${(error as Error).message}`)
  process.exitCode = 1
} finally {
  await Promise.all([...sandboxes.map((sandbox) => sandbox.stop()), inboxServer.stop()])
  await rm(folder, { recursive: true, force: true })
}
