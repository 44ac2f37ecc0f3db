# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_aiosctl_global_optspecs
    string join \n json socket= color= h/help V/version
end

function __fish_aiosctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_aiosctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_aiosctl_using_subcommand
    set -l cmd (__fish_aiosctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c aiosctl -n "__fish_aiosctl_needs_command" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_needs_command" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_needs_command" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -s V -l version -d 'Print version'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "status" -d 'Services, agents, goals, audit log and degradations at a glance'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "goal" -d 'State goals, follow, answer, cancel and undo them'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "approval" -d 'Decide about steps that wait for a person'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "tool" -d 'What can be done on this machine, and a call by hand'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "schedule" -d 'Goals that are stated at given times, or when something happens'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "agent" -d 'Agents and their containers'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "memory" -d 'What aiOS remembers'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "audit" -d 'The log that cannot be altered unnoticed'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "os" -d 'The operating system\'s images: which runs, which starts next'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "backup" -d 'Copies of the whole state, and the way back'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "service" -d 'Services under aios-init'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "boot" -d 'Phases of this boot with their times'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "policy" -d 'Which rule decides about a call, and why'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "runbook" -d 'Plans and diagnoses that people wrote down'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "config" -d 'The configuration in force'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "emergency" -d 'Stop all mutating work at once, and lift the stop'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "console" -d 'The page in the browser'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "person" -d 'Persons who may approve'
complete -c aiosctl -n "__fish_aiosctl_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand status" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand status" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand status" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -f -a "run" -d 'State a goal and watch it until it ends'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -f -a "list" -d 'Goals, newest first'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -f -a "show" -d 'One goal with its tasks, steps and result'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -f -a "cancel" -d 'Cancel a goal; running tools are stopped'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -f -a "reply" -d 'Answer a goal that waits for more information'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -f -a "undo" -d 'Undo what a goal changed, newest change first'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and not __fish_seen_subcommand_from run list show cancel reply undo watch" -f -a "watch" -d 'Follow a goal that is under way'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from run" -l priority -d 'From 0 (lowest) to 9' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from run" -l level -d 'How much to ask you' -r -f -a "manual\t'Ask for everything that changes something'
supervised\t'Ask for what policy calls risky'
full\t'Ask only where policy insists'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from run" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from run" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from run" -l dry-run -d 'Plan and try every call, change nothing'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from run" -l follow -d 'Keep waiting while a person must decide elsewhere, instead of ending with exit code 4'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from run" -l detach -d 'Return as soon as the goal is stored'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from run" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from list" -l state -d 'Only goals in this state; may be repeated' -r -f -a "pending\t''
planning\t''
in_progress\t''
awaiting_approval\t''
awaiting_input\t''
completed\t''
failed\t''
cancelled\t''"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from list" -l limit -d 'At most this many' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from list" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from list" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from list" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from show" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from show" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from cancel" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from cancel" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from cancel" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from cancel" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from reply" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from reply" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from reply" -l follow -d 'Keep waiting while a person must decide elsewhere, instead of ending with exit code 4'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from reply" -l detach -d 'Return as soon as the goal is stored'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from reply" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from reply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from undo" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from undo" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from undo" -l follow -d 'Keep waiting while a person must decide elsewhere, instead of ending with exit code 4'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from undo" -l detach -d 'Return as soon as the goal is stored'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from undo" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from undo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from watch" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from watch" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from watch" -l follow -d 'Keep waiting while a person must decide elsewhere, instead of ending with exit code 4'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from watch" -l detach -d 'Return as soon as the goal is stored'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from watch" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand goal; and __fish_seen_subcommand_from watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and not __fish_seen_subcommand_from list show approve deny notify" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and not __fish_seen_subcommand_from list show approve deny notify" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and not __fish_seen_subcommand_from list show approve deny notify" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and not __fish_seen_subcommand_from list show approve deny notify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and not __fish_seen_subcommand_from list show approve deny notify" -f -a "list" -d 'Approvals that wait for a person'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and not __fish_seen_subcommand_from list show approve deny notify" -f -a "show" -d 'One approval: what would happen to what'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and not __fish_seen_subcommand_from list show approve deny notify" -f -a "approve" -d 'Say yes'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and not __fish_seen_subcommand_from list show approve deny notify" -f -a "deny" -d 'Say no'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and not __fish_seen_subcommand_from list show approve deny notify" -f -a "notify" -d 'Tell a program or an address of each that waits, until interrupted'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from list" -l goal -d 'Only those of this goal' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from list" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from list" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from list" -l all -d 'Decided ones too'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from list" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from show" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from show" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from approve" -l remember -d 'Remember for calls within this capability, `fs:delete:/var/log/**`' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from approve" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from approve" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from approve" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from deny" -l remember -d 'Remember for calls within this capability, `fs:delete:/var/log/**`' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from deny" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from deny" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from deny" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from deny" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from notify" -l post -d 'Send each as a POST with a JSON body; answered by 2xx' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from notify" -l every-ms -d 'Pause between two looks, milliseconds' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from notify" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from notify" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from notify" -l once -d 'Look once and end; fails when somebody could not be told'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from notify" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand approval; and __fish_seen_subcommand_from notify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and not __fish_seen_subcommand_from list show call" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and not __fish_seen_subcommand_from list show call" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and not __fish_seen_subcommand_from list show call" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and not __fish_seen_subcommand_from list show call" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and not __fish_seen_subcommand_from list show call" -f -a "list" -d 'Tools, sorted by name'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and not __fish_seen_subcommand_from list show call" -f -a "show" -d 'One tool with its schemas'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and not __fish_seen_subcommand_from list show call" -f -a "call" -d 'Call a tool yourself; it runs as a goal of one task'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from show" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from show" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l dry-run -d 'Say what would change, change nothing'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l follow -d 'Keep waiting while a person must decide elsewhere, instead of ending with exit code 4'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l detach -d 'Return as soon as the goal is stored'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand tool; and __fish_seen_subcommand_from call" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and not __fish_seen_subcommand_from list add remove" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and not __fish_seen_subcommand_from list add remove" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and not __fish_seen_subcommand_from list add remove" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and not __fish_seen_subcommand_from list add remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and not __fish_seen_subcommand_from list add remove" -f -a "list" -d 'Schedules with their next and last times, and what triggers answered'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and not __fish_seen_subcommand_from list add remove" -f -a "add" -d 'Have a goal stated again and again, on your behalf'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and not __fish_seen_subcommand_from list add remove" -f -a "remove" -d 'Remove a schedule; goals that it stated go on'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from list" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from list" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from list" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from add" -l time-zone -d 'Time zone that CRON is in, an IANA name [default: the machine\'s]' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from add" -l window -d 'Begin a window of this length, `2h` or `90m`, at each time of CRON: the goal comes at a moment in its first half that is this schedule\'s own, and changes nothing any more once it is over, however late you approve' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from add" -l priority -d 'From 0 (lowest) to 9' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from add" -l level -d 'How much to ask [default: the configured level, and at most supervised]' -r -f -a "manual\t'Ask for everything that changes something'
supervised\t'Ask for what policy calls risky'
full\t'Ask only where policy insists'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from add" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from add" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from add" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from remove" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from remove" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from remove" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand schedule; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and not __fish_seen_subcommand_from list show logs freeze thaw" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and not __fish_seen_subcommand_from list show logs freeze thaw" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and not __fish_seen_subcommand_from list show logs freeze thaw" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and not __fish_seen_subcommand_from list show logs freeze thaw" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and not __fish_seen_subcommand_from list show logs freeze thaw" -f -a "list" -d 'Agents and what holds them'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and not __fish_seen_subcommand_from list show logs freeze thaw" -f -a "show" -d 'One agent'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and not __fish_seen_subcommand_from list show logs freeze thaw" -f -a "logs" -d 'What an agent printed'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and not __fish_seen_subcommand_from list show logs freeze thaw" -f -a "freeze" -d 'Freeze an agent where it stands'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and not __fish_seen_subcommand_from list show logs freeze thaw" -f -a "thaw" -d 'Let a frozen agent go on'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from show" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from show" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from logs" -s n -l last -d 'The last N lines' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from logs" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from logs" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from logs" -l follow -d 'Keep following'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from logs" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from freeze" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from freeze" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from freeze" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from freeze" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from thaw" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from thaw" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from thaw" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand agent; and __fish_seen_subcommand_from thaw" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and not __fish_seen_subcommand_from stats decisions recent" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and not __fish_seen_subcommand_from stats decisions recent" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and not __fish_seen_subcommand_from stats decisions recent" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and not __fish_seen_subcommand_from stats decisions recent" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and not __fish_seen_subcommand_from stats decisions recent" -f -a "stats" -d 'Sizes of the tiers'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and not __fish_seen_subcommand_from stats decisions recent" -f -a "decisions" -d 'Why goals were done as they were'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and not __fish_seen_subcommand_from stats decisions recent" -f -a "recent" -d 'Recent events of the machine'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from stats" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from stats" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from stats" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from decisions" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from decisions" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from decisions" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from decisions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from recent" -l source -d 'Only from this service' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from recent" -s n -l last -d 'The last N' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from recent" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from recent" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from recent" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand memory; and __fish_seen_subcommand_from recent" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and not __fish_seen_subcommand_from tail show verify head prove export" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and not __fish_seen_subcommand_from tail show verify head prove export" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and not __fish_seen_subcommand_from tail show verify head prove export" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and not __fish_seen_subcommand_from tail show verify head prove export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and not __fish_seen_subcommand_from tail show verify head prove export" -f -a "tail" -d 'The newest records'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and not __fish_seen_subcommand_from tail show verify head prove export" -f -a "show" -d 'One record with its payloads'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and not __fish_seen_subcommand_from tail show verify head prove export" -f -a "verify" -d 'Check a log offline: every hash, every signature, and the anchor'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and not __fish_seen_subcommand_from tail show verify head prove export" -f -a "head" -d 'The newest signed checkpoint, to be noted as an anchor'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and not __fish_seen_subcommand_from tail show verify head prove export" -f -a "prove" -d 'Prove that a record is in the log'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and not __fish_seen_subcommand_from tail show verify head prove export" -f -a "export" -d 'Write the whole log to a directory that `verify` reads'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -s n -l last -d 'The last N' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l goal -d 'Only records of this goal' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l follow -d 'Keep following'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l anchor -d 'A head noted earlier: a file, or the text itself; finds a log cut at a checkpoint' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from head" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from head" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from head" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from head" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from prove" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from prove" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from prove" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from prove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -f -a "status" -d 'What runs, what starts next, and what failed and why'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -f -a "check" -d 'What an upgrade would bring, and what stands in its way'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -f -a "upgrade" -d 'Fetch the newer image of the same name, and stage it for the next start'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -f -a "switch" -d 'Fetch another image, and stage it for the next start'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -f -a "rollback" -d 'Have the image before this one start the next time; once more takes that back'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -f -a "reset" -d 'Stage the image that this machine came with, without packages added since; /etc and /var stay'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -f -a "reboot" -d 'Start the machine again'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -f -a "sign" -d 'Sign an image in a directory, after reading all of it'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and not __fish_seen_subcommand_from status check upgrade switch rollback reset reboot sign key" -f -a "key" -d 'Make a key to sign images with: FILE, and FILE.pub for those who are to trust it'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from status" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from status" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from status" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from check" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from check" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from check" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from upgrade" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from upgrade" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from upgrade" -l force -d 'Also an image that failed on this machine before'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from upgrade" -l follow -d 'Keep waiting while a person must decide elsewhere, instead of ending with exit code 4'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from upgrade" -l detach -d 'Return as soon as the goal is stored'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from upgrade" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from upgrade" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from switch" -l transport -d 'Its transport, when IMAGE is the name alone: registry, oci, containers-storage' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from switch" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from switch" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from switch" -l force -d 'Also an image that failed on this machine before'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from switch" -l follow -d 'Keep waiting while a person must decide elsewhere, instead of ending with exit code 4'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from switch" -l detach -d 'Return as soon as the goal is stored'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from switch" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from switch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from rollback" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from rollback" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from rollback" -l force -d 'Also an image that failed on this machine before'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from rollback" -l follow -d 'Keep waiting while a person must decide elsewhere, instead of ending with exit code 4'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from rollback" -l detach -d 'Return as soon as the goal is stored'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from rollback" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reset" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reset" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reset" -l force -d 'Also an image that failed on this machine before'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reset" -l follow -d 'Keep waiting while a person must decide elsewhere, instead of ending with exit code 4'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reset" -l detach -d 'Return as soon as the goal is stored'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reset" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reset" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reboot" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reboot" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reboot" -l follow -d 'Keep waiting while a person must decide elsewhere, instead of ending with exit code 4'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reboot" -l detach -d 'Return as soon as the goal is stored'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reboot" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from reboot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from sign" -l key -d 'The private key' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from sign" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from sign" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from sign" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from key" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from key" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from key" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand os; and __fish_seen_subcommand_from key" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and not __fish_seen_subcommand_from create key inspect verify restore" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and not __fish_seen_subcommand_from create key inspect verify restore" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and not __fish_seen_subcommand_from create key inspect verify restore" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and not __fish_seen_subcommand_from create key inspect verify restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and not __fish_seen_subcommand_from create key inspect verify restore" -f -a "create" -d 'Copy the whole state of aiOS and /etc/aios into one file, while everything works; needs root'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and not __fish_seen_subcommand_from create key inspect verify restore" -f -a "key" -d 'Make a pair of keys: FILE is secret and restores, FILE.pub encrypts'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and not __fish_seen_subcommand_from create key inspect verify restore" -f -a "inspect" -d 'What a backup says of itself: machine, time, versions, files'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and not __fish_seen_subcommand_from create key inspect verify restore" -f -a "verify" -d 'Read all of a backup, and check that nothing is missing or altered'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and not __fish_seen_subcommand_from create key inspect verify restore" -f -a "restore" -d 'Put a backup in the place of the state; aiOS must be stopped, the old state stays beside it; needs root'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l key -d 'Encrypt to the public keys in this file; may be repeated [default: /etc/aios/backup.pub, where it is there]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l plain -d 'Do not encrypt, although /etc/aios/backup.pub is there'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from key" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from key" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from key" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from key" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from inspect" -l key -d 'The secret key, for an encrypted one' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from inspect" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from inspect" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from inspect" -l files -d 'List every file'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from inspect" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l key -d 'The secret key, for an encrypted one' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from restore" -l key -d 'The secret key, for an encrypted one' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from restore" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from restore" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from restore" -l dry-run -d 'Unpack and check everything, then put nothing in place'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from restore" -l other-machine -d 'Restore another machine\'s backup: this machine takes its place'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from restore" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand backup; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -f -a "list" -d 'Services in start order'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -f -a "status" -d 'One service'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -f -a "start" -d 'Start a service, and what it needs'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -f -a "stop" -d 'Stop a service, and what needs it'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -f -a "reload" -d 'Read new and changed service files; what runs goes on as it is'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -f -a "restart" -d 'Stop and start a service'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -f -a "enable" -d 'Start a service at boot, from now on'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -f -a "disable" -d 'Do not start a service at boot, unless an enabled one needs or wants it'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and not __fish_seen_subcommand_from list status start stop reload restart enable disable logs" -f -a "logs" -d 'What a service logged'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from list" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from list" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from list" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from status" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from status" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from status" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from start" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from start" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from start" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from stop" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from stop" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from stop" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from reload" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from reload" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from reload" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from restart" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from restart" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from restart" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from restart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from enable" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from enable" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from enable" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from disable" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from disable" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from disable" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from logs" -s n -l last -d 'The last N lines' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from logs" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from logs" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from logs" -l follow -d 'Keep following'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from logs" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand service; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand boot" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand boot" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand boot" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand boot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and not __fish_seen_subcommand_from explain" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and not __fish_seen_subcommand_from explain" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and not __fish_seen_subcommand_from explain" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and not __fish_seen_subcommand_from explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and not __fish_seen_subcommand_from explain" -f -a "explain" -d 'Which rule decides about a call'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and __fish_seen_subcommand_from explain" -l level -d 'Autonomy level to assume' -r -f -a "manual\t'Ask for everything that changes something'
supervised\t'Ask for what policy calls risky'
full\t'Ask only where policy insists'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and __fish_seen_subcommand_from explain" -l path -d 'A path that the call touches; may be repeated' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and __fish_seen_subcommand_from explain" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and __fish_seen_subcommand_from explain" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and __fish_seen_subcommand_from explain" -l tainted -d 'Assume that untrusted text shaped the call'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and __fish_seen_subcommand_from explain" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand policy; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and not __fish_seen_subcommand_from list check test" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and not __fish_seen_subcommand_from list check test" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and not __fish_seen_subcommand_from list check test" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and not __fish_seen_subcommand_from list check test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and not __fish_seen_subcommand_from list check test" -f -a "list" -d 'Runbooks in force, with words that start them'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and not __fish_seen_subcommand_from list check test" -f -a "check" -d 'Find mistakes in runbook files before the orchestrator does'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and not __fish_seen_subcommand_from list check test" -f -a "test" -d 'Check a runbook file, and try its cases on their recorded evidence; nothing is called'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from check" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from check" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from check" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from test" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from test" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from test" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand runbook; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and not __fish_seen_subcommand_from show check" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and not __fish_seen_subcommand_from show check" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and not __fish_seen_subcommand_from show check" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and not __fish_seen_subcommand_from show check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and not __fish_seen_subcommand_from show check" -f -a "show" -d 'Every value in force'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and not __fish_seen_subcommand_from show check" -f -a "check" -d 'Find mistakes before a service does'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and __fish_seen_subcommand_from show" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and __fish_seen_subcommand_from show" -l origin -d 'Say where each comes from'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and __fish_seen_subcommand_from check" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and not __fish_seen_subcommand_from stop resume" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and not __fish_seen_subcommand_from stop resume" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and not __fish_seen_subcommand_from stop resume" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and not __fish_seen_subcommand_from stop resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and not __fish_seen_subcommand_from stop resume" -f -a "stop" -d 'Close all front doors, revoke all tokens, refuse every change'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and not __fish_seen_subcommand_from stop resume" -f -a "resume" -d 'Lift the stop'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and __fish_seen_subcommand_from stop" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and __fish_seen_subcommand_from stop" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and __fish_seen_subcommand_from stop" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and __fish_seen_subcommand_from resume" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and __fish_seen_subcommand_from resume" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and __fish_seen_subcommand_from resume" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand emergency; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand console; and not __fish_seen_subcommand_from open" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand console; and not __fish_seen_subcommand_from open" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand console; and not __fish_seen_subcommand_from open" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand console; and not __fish_seen_subcommand_from open" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand console; and not __fish_seen_subcommand_from open" -f -a "open" -d 'Print a link that signs a browser in once'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand console; and __fish_seen_subcommand_from open" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand console; and __fish_seen_subcommand_from open" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand console; and __fish_seen_subcommand_from open" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand console; and __fish_seen_subcommand_from open" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand person; and not __fish_seen_subcommand_from enrol" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand person; and not __fish_seen_subcommand_from enrol" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand person; and not __fish_seen_subcommand_from enrol" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand person; and not __fish_seen_subcommand_from enrol" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand person; and not __fish_seen_subcommand_from enrol" -f -a "enrol" -d 'Make a key and register it with the guard; the first person is enrolled by root'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand person; and __fish_seen_subcommand_from enrol" -l user -d 'Whom to enrol, a user name; needs root [default: you]' -r
complete -c aiosctl -n "__fish_aiosctl_using_subcommand person; and __fish_seen_subcommand_from enrol" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand person; and __fish_seen_subcommand_from enrol" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand person; and __fish_seen_subcommand_from enrol" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand person; and __fish_seen_subcommand_from enrol" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand completions" -l socket -d 'Directory of the sockets of the instance to talk to [default: /run/aios, else .aios/run of this checkout]' -r -F
complete -c aiosctl -n "__fish_aiosctl_using_subcommand completions" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal only'
always\t'Always'
never\t'Never'"
complete -c aiosctl -n "__fish_aiosctl_using_subcommand completions" -l json -d 'Answer in JSON: one document, or one a line where the answer is a stream'
complete -c aiosctl -n "__fish_aiosctl_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
