import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serve } from '@s4s/node'
import { createInbox, createStudyKeys } from '@s4s/node/inbox'
import { startSandbox } from '@s4s/sandbox'
import { type DemoOptions, readArguments } from './arguments.js'
import { patientOf } from './patient.js'
import { walk } from './road.js'
import { createScreen } from './screen.js'

const options = readArguments(process.argv.slice(2))
// With --json the one line of JSON is all that goes to standard output.
const screen = createScreen(options.json ? process.stderr : process.stdout)

const folder = await mkdtemp(join(tmpdir(), 's4s-demo-'))
const running: { stop(): Promise<void> }[] = []

try {
  const hospitals = options.data
    ? [{ id: 'folder', name: 'Hospital of the folder', data: options.data }]
    : [
        { id: 'mercy', name: 'Mercy Hospital', seed: 1 },
        { id: 'lakeside', name: 'Lakeside Clinic', seed: 2 },
      ]
  const sandboxes = await Promise.all(hospitals.map((hospital) => startSandbox(hospital)))
  const keys = await createStudyKeys()
  const inbox = createInbox({
    folder,
    studies: [{ id: 'sleep-2026', key: 'demo-study-key', teamKey: 'demo-team-key', ...keys.inbox }],
  })
  const inboxServer = await serve(inbox.handler)
  running.push(...sandboxes, inboxServer)

  const patient = await choosePatient(options)
  const summary = await walk({
    sandboxes,
    inbox,
    inboxUrl: inboxServer.url,
    studyKey: 'demo-study-key',
    keys: keys.study,
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
  await Promise.all(running.map((server) => server.stop()))
  await rm(folder, { recursive: true, force: true })
}

// Unless told otherwise: the first patient of a folder, and of the built-in people one whom both hospitals know.
async function choosePatient({ data, patient }: DemoOptions): Promise<string | undefined> {
  if (data === undefined) return patient ?? 'daniel'
  return patient === undefined ? undefined : patientOf(data, patient)
}
