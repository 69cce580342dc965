import { serve } from '../../serve.js'
import { createInbox } from '../inbox.js'

// A study may come with its keys; a port, so that an inbox which is started again is found where it was.
const [folder = '', key = '', study = '{}', port = '0'] = process.argv.slice(2)
const { url } = await serve(
  createInbox({ folder, studies: [{ id: 'sleep', key, ...JSON.parse(study) }] }).handler,
  {
    port: Number(port),
  },
)
process.stdout.write(`${url}\n`)
