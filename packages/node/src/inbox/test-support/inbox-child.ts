import { serve } from '../../serve.js'
import { createInbox } from '../inbox.js'

const [folder = '', key = ''] = process.argv.slice(2)
const { url } = await serve(createInbox({ folder, studies: [{ id: 'sleep', key }] }).handler)
process.stdout.write(`${url}\n`)
