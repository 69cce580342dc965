import { defineStudy, type Study, usCore } from '@s4s/node'
import { inbox } from './settings.js'

/** What the study asks for, why, and what a participant agrees to. */
export const study: Study = defineStudy({
  id: 'sleep-2026',
  title: 'Sleep and Recovery',
  purpose: 'How sleep shapes recovery after surgery',
  plan: usCore.only('Patient', 'Laboratory', 'Medications', 'Vital Signs'),
  recipient: inbox.url,
  consent: {
    version: '1',
    text: 'I share my record with the Sleep and Recovery study. I may withdraw at any time.',
  },
})
