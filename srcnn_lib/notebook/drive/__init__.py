"""A run's copy on Google Drive: written in the background while it trains, restored on a new machine.

The mounted Drive drops files, stalls, and can disappear in the middle of a write. So nothing there is overwritten or
appended to. Each file of a run is stored as one or several *pieces*. Each piece is a new file under a name that was
never used before, and is read back and compared after it is written. A *listing*, `latest-00000012.….json`, is written
last and names the pieces of each file of the run. It gets a new name as well. The last few listings are kept with all
pieces that they name, in case the newest one is damaged. The folder of a run is flat:

    srcnn_runs/<name>/
      step-00001200.3f2a9c-41.pt                    a checkpoint
      step-00001200-epoch-0004.3f2a9c-42.safetensors
      history.3f2a9c-43.jsonl …                     the lines that were appended after the previous piece
      latest-00000012.3f2a9c-44.json                {"run", "step", "files": {path: [{"name", "size", "sha256"}]}}

`pieces` reads and writes pieces and listings, `storage` decides what is written and removed, `backup` copies in a
thread, `restore` fetches a run.
"""
