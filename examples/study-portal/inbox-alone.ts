import { serve } from '@s4s/node'
import { createInbox, type StudyKeys } from '@s4s/node/inbox'

// The study's inbox as a process of its own, as it would run at the study: given as JSON, where and for whom.
const { folder, port, origin, keys, key, teamKey } = JSON.parse(process.argv[2] ?? '{}') as {
  folder: string
  port: number
  origin: string
  keys: StudyKeys['inbox']
  key: string
  teamKey: string
}
const inbox = createInbox({
  folder,
  studies: [{ id: 'sleep-2026', key, teamKey, ...keys }],
  allowOrigins: [origin],
})
const { url } = await serve(inbox.handler, { port })
process.stdout.write(`${url}\n`)
