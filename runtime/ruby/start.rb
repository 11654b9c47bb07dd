# Runs the script that the arguments begin with, as `ruby script.rb` does: what it sees of itself, what is said of an error that
# nobody catches, and the exit code are those. Its interpreter is begun by others, so what ends one is done here. Blocks of `END`
# are kept where nothing of this can reach them, and do not run.
lambda do
  script = ARGV.shift
  $0 = script
  last = []
  later = lambda do |&block|
    raise ArgumentError, "called without block" unless block
    last << block
    block
  end
  Kernel.define_method(:at_exit) { |&block| later.call(&block) }
  Kernel.send(:private, :at_exit)
  Kernel.define_singleton_method(:at_exit) { |&block| later.call(&block) }

  # An error without the lines of this text, which stand below the script's own.
  own = lambda do |error|
    lines = error.backtrace
    error.set_backtrace(lines.take_while { |line| !line.start_with?("eval:") }) if lines
    own.call(error.cause) if error.cause
    error
  end
  status = 0
  report = lambda do |error|
    status = error.is_a?(SystemExit) ? error.status : 1
    next if error.is_a?(SystemExit)
    own.call(error)
    # An error in syntax has no lines of the script's own; it names its place itself.
    text = error.backtrace.to_a.empty? ? error.detailed_message(highlight: false) : error.full_message(highlight: false)
    STDERR.puts(text)
  end
  finish = lambda do |error|
    until last.empty?
      begin
        last.pop.call
      rescue SystemExit => error
      rescue Exception => failure
        report.call(failure)
        error = nil
      end
    end
    report.call(error) if error
  end
  run = lambda do
    text = begin
      File.open(script, "r:BOM|UTF-8", &:read)
    rescue SystemCallError => error
      raise LoadError, "#{error.message.sub(/ @.*/m, "")} -- #{script}"
    end
    if (data = text.b =~ /^__END__(\r?\n|\z)/n)
      data = File.open(script).tap { |file| file.pos = file.size - text.bytesize + data + $~[0].bytesize }
      Object.const_set(:DATA, data)
    end
    eval(text, TOPLEVEL_BINDING, script, 1)
  end
  begin
    run.call
  rescue Exception => error
    finish.call(error)
  ensure
    # A script that returns comes here as well.
    finish.call(nil)
    ObjectSpace.each_object(IO) { |stream| stream.flush rescue nil }
    Process.exit!(status)
  end
end.call
